"""The benchmark's results as a plain-text table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    Figures = Mapping[str, float]

OURS, GRAPHED = "nbtransfer", "nbtransfer, graphed"
_PARTS = {
    "training": ("Training, examples a second", "examples_per_s", True),
    "evaluation": ("Evaluation, examples a second", "examples_per_s", True),
    "head": ("Technique head: seconds an epoch from the second on", "later_epoch_s", False),
    "top:2": ("Technique top:2: seconds an epoch from the second on", "later_epoch_s", False),
    "start": ("Seconds from the process's start to the end of step 1", "first_step_s", False),
    "memory": ("Peak memory, megabytes", "peak_bytes", False),
    "accuracy": ("Accuracy on the test rows", "accuracy", True),
}


def ratios(figures: Mapping[str, Figures], key: str, *, more_is_better: bool) -> dict[str, float]:
    """Return how many times better nbtransfer is than each of the others."""
    ours = figures[OURS][key]
    return {
        name: (ours / other[key] if more_is_better else other[key] / ours)
        for name, other in figures.items()
    }


def results_text(results: Mapping[str, Any]) -> str:
    """Return the whole result as text; every part that was measured is a block."""
    machine = results["machine"]
    lines = [
        f"{machine['cpu']}, {machine['num_threads']} threads; load before {machine['load']:.1f}; "
        f"torch {machine['torch']}, transformers {machine['transformers']}",
        f"{results['model']} on {results['data']}, batch {results['batch_size']}, "
        f"{results['num_rows']} rows, {results['epochs']} epoch(s)",
    ]
    for part, (title, key, more_is_better) in _PARTS.items():
        source = results.get("start" if part == "memory" else part)
        if source is None:
            continue
        lines += ["", title]
        better = ratios(source, key, more_is_better=more_is_better)
        for name, figures in source.items():
            value = figures[key] / 1e6 if key == "peak_bytes" else figures[key]
            digits = 3 if abs(value) < 10 else 1
            note = "" if name == OURS else f"   nbtransfer: {better[name]:.2f}x"
            lines.append(f"  {name:<32} {value:>9.{digits}f}{note}")
    return "\n".join(lines)


def columns_text(results: Mapping[str, Any]) -> str:
    """Return a GPU's result as text: a block a column, with what graphed steps are faster by."""
    machine = results["machine"]
    lines = [
        f"{machine['gpu']}; torch {machine['torch']}, transformers {machine['transformers']}; "
        f"{results['model']}",
    ]
    for column, found in results["columns"].items():
        done = {name: figures for name, figures in found.items() if "failed" not in figures}
        first: Figures = next(iter(done.values()), {})
        runs = [key for key in first if key.startswith("run_of_")]
        titles = [f"{key.split('_')[2]} steps, s" for key in runs]
        heads = ["ms a step", "1st step, s", *titles, "peak GB"]
        lines += ["", f"{column:<32}" + "".join(f"{head:>14}" for head in heads)]
        ours = done.get(GRAPHED)
        for name, figures in found.items():
            if name not in done:
                lines.append(f"  {name:<30}  failed: {figures['failed']}")
                continue
            keys = ["ms_per_step", "first_step_s", *runs]
            cells = [_with_ratio(figures, ours, key) for key in keys]
            cells.append(f"{figures['peak_bytes'] / 1e9:.1f}")
            note = "   took eager steps" if name == GRAPHED and "num_graphs" not in figures else ""
            lines.append(f"  {name:<30}" + "".join(f"{cell:>14}" for cell in cells) + note)
    if any(GRAPHED in found for found in results["columns"].values()):
        lines += ["", f"In brackets: how many times what {GRAPHED} takes."]
    return "\n".join(lines)


def _with_ratio(figures: Figures, ours: Figures | None, key: str) -> str:
    value = figures[key]
    shown = f"{value:.1f}" if value < 1000 else f"{value:.0f}"
    return shown if ours is None or ours is figures else f"{shown} ({value / ours[key]:.1f})"
