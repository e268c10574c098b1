"""Choosing the rows that are held out for validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.errors import DataError, count_of, nearest, quoted

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

DEFAULT_FRACTION = 0.1


class Splits(NamedTuple):
    """Examples by split, and how the validation rows were chosen.

    Attributes:
        splits: tables of text, label and row; `train`, perhaps `validation` and `test`.
        notes: the choice made, in words.
        warnings: what the user should know about it.
    """

    splits: dict[str, pa.Table]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def choose_validation(
    examples: dict[str, pa.Table],
    validation: str | float | bool | None,
    *,
    split_seed: int = 42,
) -> Splits:
    """Return the examples with a validation split, or without one where False asks for none.

    Args:
        examples: tables by split, `train` among them, with the column text_id (equal texts have
            equal numbers); whole numbers in `label` are classes, of which each gives its share.
        validation: None takes the split named validation, otherwise 10 % of train; a fraction takes
            that share of train; a name takes that split; False takes none. Never the test split.
        split_seed: decides which rows are held out. It is apart from the training seed, so that
            runs with different seeds are compared on the same rows.

    Raises:
        DataError: if the name is no split, the fraction is out of range, or too few rows are there.
    """
    others = {s: t for s, t in examples.items() if s != "validation"}
    given = examples.get("validation")
    unused = f" ({given.num_rows:,} validation rows are not used)" if given is not None else ""
    if validation is False:
        return Splits(others, (f"no validation{unused}",))
    if isinstance(validation, str):
        _check_name(validation, examples)
    elif validation is not None and not (
        isinstance(validation, (int, float)) and 0 < validation < 1
    ):
        raise DataError(
            f"validation={quoted(validation)} is not understood: give a fraction (0.1), a split's "
            "name, a file, a DataFrame or False."
        )
    fraction = validation if isinstance(validation, float) else None
    if given is not None and fraction is None:
        return Splits(
            _ordered(examples),
            (f"validation: the split named validation, {given.num_rows:,} rows",),
        )
    return _hold_out(others, fraction or DEFAULT_FRACTION, split_seed, unused)


def _check_name(validation: str, examples: dict[str, pa.Table]) -> None:
    from nbtransfer.data.tables import SPLIT_NAMES

    split = SPLIT_NAMES.get(validation.casefold())
    if split == "validation" and "validation" in examples:
        return
    if split == "test" and "test" in examples:
        raise DataError(
            "validation='test': the test split is never used to choose a model. Give a fraction "
            "such as 0.1, another split or a file."
        )
    close = nearest(validation, [s for s in examples if s == "validation"])
    hint = (
        f" Did you mean {close!r}?" if close else " A fraction such as 0.1 holds out part of train."
    )
    raise DataError(f"no split {quoted(validation)}. Splits: {', '.join(examples)}.{hint}")


def _hold_out(
    examples: dict[str, pa.Table], fraction: float, split_seed: int, unused: str
) -> Splits:
    import numpy as np
    import pyarrow as pa

    train = examples["train"]
    has_classes = "label" in train.column_names and pa.types.is_integer(train["label"].type)
    labels = train["label"].to_numpy() if has_classes else np.zeros(train.num_rows, np.int64)
    sizes = _sizes(np.bincount(labels), fraction)
    if not sizes.sum():
        what = "no class has two rows" if has_classes else "there is one row only"
        return Splits(
            examples,
            (f"no validation: {what}",),
            (f"nothing is held out for validation, because {what}. Add rows.",),
        )
    # Repeated texts come last, so that they stay in train: a copy on each side flatters the metric.
    ids = train.column("text_id").to_numpy()
    repeated = np.bincount(ids)[ids] > 1
    # RandomState's stream is frozen for good, which Generator's is not.
    order = np.random.RandomState(split_seed).permutation(train.num_rows)
    order = order[np.argsort(repeated[order], kind="stable")]
    held = np.zeros(train.num_rows, dtype=bool)
    for label, size in enumerate(sizes):
        held[order[labels[order] == label][:size]] = True
    singles = int((np.bincount(labels) == 1).sum())
    warnings = (
        (
            f"{singles:,} classes have one row only, which stays in train: validation cannot see "
            "them.",
        )
        if singles > 1 and has_classes
        else ("1 class has one row only, which stays in train: validation cannot see it.",)
        if singles and has_classes
        else ()
    )
    splits = {**examples, "train": train.filter(~held), "validation": train.filter(held)}
    by_class = ", stratified" if has_classes else ""
    how = f"{100 * fraction:.0f} % of train{by_class}, seed {split_seed}"
    note = f"validation: {how}: {count_of(int(held.sum()), 'row')}{unused}"
    return Splits(
        _ordered(splits),
        (note,),
        warnings,
    )


def _sizes(counts: np.ndarray, fraction: float) -> np.ndarray:
    """Return how many rows of each class to hold out: at least 1 of 2, never all.

    Largest remainders (Hamilton's method) make the sum the fraction of all rows.
    """
    import numpy as np

    exact = counts * fraction
    sizes = np.floor(exact).astype(int)
    missing = round(counts.sum() * fraction) - sizes.sum()
    by_remainder = np.argsort(sizes - exact, kind="stable")
    sizes[by_remainder[:missing]] += 1
    return np.minimum(np.maximum(sizes, counts >= 2), np.maximum(counts - 1, 0))


def _ordered(splits: dict[str, pa.Table]) -> dict[str, pa.Table]:
    return {s: splits[s] for s in ("train", "validation", "test") if s in splits}
