"""What training made of the representations: a map of texts before and after, with two numbers."""

# Shapes: N texts, L layers (the embeddings first), H features.
from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtransfer.errors import count_of
from nbtransfer.runs.files import read_json, write_json

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

_NUM_FOLDS = 5


class Stage(NamedTuple):
    """The representations of one model.

    Attributes:
        points: (x, y) of each text: the first two principal components of its last layer's mean
            token vector.
        explained: the share of the variance that each of the two holds.
        silhouette: how much nearer texts are to their own class than to the next one, by cosine
            distance in all dimensions, from -1 to 1 (Rousseeuw, 1987); None for one class.
        probe_accuracies: by layer, the cross-validated accuracy of a linear classifier that reads
            that layer's mean token vector (Alain and Bengio, 2016).
    """

    points: tuple[tuple[float, float], ...]
    explained: tuple[float, float]
    silhouette: float | None
    probe_accuracies: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, repr=False)
class EmbeddingMap:
    """Texts as the pre-trained and as the fine-tuned model sees them.

    Attributes:
        run_id: the run.
        split: where the texts are from.
        labels: the classes' names.
        classes: the class of each text.
        texts: the texts, cut to 200 characters.
        before: the pre-trained model.
        after: the fine-tuned one.
        majority_share: the share of the largest class, which a probe beats or learned nothing.
    """

    run_id: str
    split: str
    labels: tuple[str, ...]
    classes: tuple[int, ...]
    texts: tuple[str, ...]
    before: Stage
    after: Stage
    majority_share: float

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them."""
        stages = {"before": self.before._asdict(), "after": self.after._asdict()}
        return dataclasses.asdict(self) | stages

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> EmbeddingMap:
        """Return the map that `to_json` wrote; fields of newer versions are left out."""
        names = {f.name for f in dataclasses.fields(cls)}
        values = {k: v for k, v in record.items() if k in names}
        for name in ("labels", "classes", "texts"):
            values[name] = tuple(values[name])
        for name in ("before", "after"):
            values[name] = _stage_from(values[name])
        return cls(**values)

    def __repr__(self) -> str:
        before, after = (_number(s.silhouette) for s in (self.before, self.after))
        return (
            f"EmbeddingMap {self.run_id}: {count_of(len(self.texts), 'text')}, silhouette "
            f"{before} before, {after} after"
        )

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("", "before", "after")]
        rows.append(("silhouette", *(_number(s.silhouette) for s in (self.before, self.after))))
        accuracies = zip(self.before.probe_accuracies, self.after.probe_accuracies, strict=True)
        for layer, pair in enumerate(accuracies):
            name = "probe on the embeddings" if layer == 0 else f"probe on layer {layer}"
            rows.append((name, *(f"{100 * share:.1f} %" for share in pair)))
        lines = [f"{name:<24}{first:>9}{second:>9}" for name, first, second in rows]
        head = f"{self.run_id} on {count_of(len(self.texts), 'text')} of {self.split}"
        return "\n".join([head, *lines, f"largest class{100 * self.majority_share:>26.1f} %"])


def measure_stage(layers: np.ndarray, classes: np.ndarray) -> Stage:
    """Return where texts lie and how well their classes can be told apart.

    Args:
        layers: float array (L, N, H), the mean token vector of each text at each layer.
        classes: int array (N,).
    """
    import numpy as np
    from sklearn.decomposition import PCA
    from sklearn.metrics import silhouette_score

    last = np.asarray(layers[-1], dtype=np.float64)
    with np.errstate(invalid="ignore"):  # of texts that are all the same it divides 0 by 0
        reduced = PCA(n_components=2, svd_solver="full").fit(last)
    # A component's sign is arbitrary: its largest weight is made positive, so that maps agree.
    signs = np.sign(reduced.components_[np.arange(2), np.abs(reduced.components_).argmax(1)])
    points = reduced.transform(last) * signs
    num_classes = len(set(classes.tolist()))
    silhouette = None
    if 1 < num_classes < len(classes):
        silhouette = float(silhouette_score(last, classes, metric="cosine"))
    return Stage(
        points=tuple((round(float(x), 4), round(float(y), 4)) for x, y in points),
        explained=tuple(float(share) for share in np.nan_to_num(reduced.explained_variance_ratio_)),  # type: ignore[arg-type]
        silhouette=silhouette,
        probe_accuracies=tuple(probe_accuracy(layer, classes) for layer in layers),
    )


def probe_accuracy(features: np.ndarray, classes: np.ndarray) -> float:
    """Return the cross-validated accuracy of a linear (ridge) classifier on standardised features.

    Args:
        features: float array (N, H).
        classes: int array (N,); a class of fewer rows than folds is in fewer of them.
    """
    import warnings

    import numpy as np
    from sklearn.linear_model import RidgeClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = StratifiedKFold(min(_NUM_FOLDS, len(classes)), shuffle=True, random_state=0)
    probe = make_pipeline(StandardScaler(), RidgeClassifier(alpha=float(features.shape[1])))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes smaller than the folds are expected here
        said = cross_val_predict(probe, features.astype(np.float64), classes, cv=folds)
    return float(np.mean(said == classes))


def write_embedding_map(found: EmbeddingMap, path: Path) -> None:
    """Write the map as JSON."""
    write_json(path, {"v": 1, **found.to_json()})


def read_embedding_map(path: Path) -> EmbeddingMap:
    """Return the map that `write_embedding_map` wrote."""
    return EmbeddingMap.from_json(read_json(path))


def _stage_from(record: dict[str, Any]) -> Stage:
    return Stage(
        points=tuple((x, y) for x, y in record["points"]),
        explained=tuple(record["explained"]),
        silhouette=record["silhouette"],
        probe_accuracies=tuple(record["probe_accuracies"]),
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
