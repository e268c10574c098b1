"""How close generated texts are to their references: BLEU, chrF and ROUGE, of well-kept packages.

BLEU (Papineni et al., 2002) and chrF (Popović, 2015) are sacreBLEU's (Post, 2018), on its scale of
0 to 100 and with its signature; ROUGE (Lin, 2004) is Google's rouge-score, on a scale of 0 to 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUGE = ("rouge1", "rouge2", "rougeL")


class TextScores(NamedTuple):
    """Metrics by name, without `eval_`, and for each the signature that says how it was counted."""

    metrics: dict[str, float]
    signatures: dict[str, str]


def translation_scores(outputs: Sequence[str], references: Sequence[str]) -> TextScores:
    """Return BLEU and chrF of the whole corpus; 0 where there is none."""
    from sacrebleu.metrics import BLEU, CHRF

    metrics, signatures = {}, {}
    for name, metric in (("chrf", CHRF()), ("bleu", BLEU())):
        found = metric.corpus_score(list(outputs), [list(references)]) if outputs else None
        metrics[name] = float(found.score) if found is not None else 0.0
        signatures[name] = str(metric.get_signature()) if found is not None else ""
    return TextScores(metrics, signatures)


def summary_scores(outputs: Sequence[str], references: Sequence[str]) -> TextScores:
    """Return the means of ROUGE-1, ROUGE-2 and ROUGE-L (F1, Porter's stemmer); 0 without texts."""
    from importlib.metadata import version

    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(ROUGE, use_stemmer=True)
    found = [scorer.score(r, o) for r, o in zip(references, outputs, strict=True)]
    metrics = {
        name: sum(float(scores[name].fmeasure) for scores in found) / max(1, len(found))
        for name in ROUGE
    }
    signature = f"rouge-score {version('rouge-score')}, F1, stemmed, mean over texts"
    return TextScores(metrics, dict.fromkeys(ROUGE, signature))


def closeness(outputs: Sequence[str], references: Sequence[str]) -> list[float]:
    """Return how close each output is to its reference: chrF of the sentence, 0 to 100."""
    from sacrebleu.metrics import CHRF

    metric = CHRF()
    return [
        float(metric.sentence_score(output, [reference]).score)
        for output, reference in zip(outputs, references, strict=True)
    ]
