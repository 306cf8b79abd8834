"""What an estimator computes, without all that scikit-learn looks at before it computes it.

For one row of a small model the looking takes 95 % of the time: names, types, shapes, tags and, for forests, a pool of
jobs for each call. Each shortcut here does the same arithmetic in the same order. Whether it gives the same to the
last bit is tried when the model is loaded (`probing`), and what is not finite goes to the estimator, which knows what
to say.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from serinus_server.values import Array

# Outputs of a matrix of finite numbers, whose columns are those of the estimator; None if it is for the estimator.
type Shortcut = Callable[[Array], Any]
type Make = Callable[[Any], Shortcut | None]


def of(estimator: Any, method: str) -> Shortcut | None:
    """The shortcut of this method of an estimator, or of a pipeline of scalers before it; None if there is none."""
    kind = type(estimator)
    if not kind.__module__.startswith("sklearn."):
        return None
    if kind.__name__ == "Pipeline":
        return _pipeline(estimator, method)
    make = {"predict": _PREDICT, "predict_proba": _PREDICT_PROBA}.get(method, {}).get(kind.__name__)
    return make(estimator) if make is not None else None


def _pipeline(pipeline: Any, method: str) -> Shortcut | None:
    *before, (_, last) = pipeline.steps
    scale = [_scaler(step) for _, step in before if step not in (None, "passthrough")]
    known = [one for one in scale if one is not None]
    end = of(last, method)
    if end is None or len(known) < len(scale):
        return None

    def run(rows: Array) -> Any:
        for one in known:
            rows = one(rows)
        return end(rows)

    return run


def _scaler(step: Any) -> Shortcut | None:
    if type(step).__module__ != "sklearn.preprocessing._data" or type(step).__name__ != "StandardScaler":
        return None
    mean, scale = step.mean_ if step.with_mean else None, step.scale_ if step.with_std else None

    def run(rows: Array) -> Array:
        if mean is not None:
            rows = rows - mean
        return rows if scale is None else rows / scale

    return run


# --- linear models


def _scores(estimator: Any) -> Shortcut:
    weights = estimator.coef_.T if estimator.coef_.ndim > 1 else estimator.coef_
    intercept = estimator.intercept_
    return lambda rows: rows @ weights + intercept


def _flat(scores: Array) -> Array:
    """Scores of two classes are one for each row."""
    return scores.reshape(-1) if scores.ndim > 1 and scores.shape[1] == 1 else scores


def _labels(scores: Shortcut, classes: Array, decides: Callable[[Array, float], Any] = np.greater) -> Shortcut:
    """The class of the best score; of two classes the second, if `decides` says so of its one score and zero."""

    def run(rows: Array) -> Any:
        given = scores(rows)
        if given is None:
            return None
        given = _flat(given)
        chosen = given.argmax(axis=1) if given.ndim > 1 else decides(given, 0.0).astype(np.intp)
        return classes.take(chosen, axis=0)

    return run


def _linear_labels(estimator: Any) -> Shortcut:
    return _labels(_scores(estimator), estimator.classes_)


def _logistic(estimator: Any) -> Shortcut:
    from sklearn.utils.extmath import softmax

    scores, is_binary = _scores(estimator), len(estimator.classes_) <= 2  # noqa: PLR2004 (two classes)
    if not is_binary:
        return lambda rows: softmax(scores(rows), copy=False)
    from scipy.special import expit

    def run(rows: Array) -> Array:
        one = _flat(scores(rows))
        expit(one, out=one)
        return np.stack([1 - one, one], axis=1)

    return run


# --- trees


def _single(rows: Array) -> Array | None:
    """As trees want their input; None if a number is too large for it."""
    with np.errstate(over="ignore"):
        single = rows.astype(np.float32, order="C")
    return single if np.isfinite(single.sum(dtype=np.float64)) else None


def _summed(forest: Any, shape: tuple[int, ...], of_tree: Callable[[Array], Array]) -> Shortcut | None:
    """The mean of what all trees say, summed up in their order."""
    if forest.n_outputs_ != 1:
        return None
    trees = [tree.tree_.predict for tree in forest.estimators_]

    def run(rows: Array) -> Array | None:
        single = _single(rows)
        if single is None:
            return None
        total = np.zeros((len(rows), *shape))
        for predict in trees:
            total += of_tree(predict(single))
        total /= len(trees)
        return total

    return run


def _forest_votes(forest: Any) -> Shortcut | None:
    return _summed(forest, (int(np.max(forest.n_classes_)),), lambda said: said)


def _forest_mean(forest: Any) -> Shortcut | None:
    return _summed(forest, (), lambda said: said[:, 0])


def _forest_labels(forest: Any) -> Shortcut | None:
    votes = _forest_votes(forest)
    return None if votes is None else _labels(votes, forest.classes_)


def _boosted(estimator: Any) -> Shortcut:
    """The sum of all trees. What it begins with is the same for all rows unless somebody chose an estimator for it."""
    from sklearn.ensemble._gradient_boosting import predict_stages

    trees, rate = estimator.estimators_, estimator.learning_rate
    begin = estimator._raw_predict_init  # noqa: SLF001 (there is no other way in; tried by `probing`)
    is_constant = estimator.init_ == "zero" or type(estimator.init_).__name__.startswith("Dummy")
    start = begin(np.zeros((1, estimator.n_features_in_), np.float32)) if is_constant else None

    def run(rows: Array) -> Array | None:
        single = _single(rows)
        if single is None:
            return None
        total = np.repeat(start, len(rows), axis=0) if start is not None else begin(single)
        predict_stages(trees, single, rate, total)
        return total

    return run


def _boosted_labels(estimator: Any) -> Shortcut:
    return _labels(_boosted(estimator), estimator.classes_, np.greater_equal)


def _boosted_values(estimator: Any) -> Shortcut:
    raw = _boosted(estimator)
    return lambda rows: None if (given := raw(rows)) is None else given.ravel()


def _boosted_probabilities(estimator: Any) -> Shortcut:
    raw, loss = _boosted(estimator), estimator._loss  # noqa: SLF001 (see `_boosted`)
    return lambda rows: None if (given := raw(rows)) is None else loss.predict_proba(_flat(given))


_REGRESSIONS: Final = (
    "LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet", "ElasticNetCV",
    "BayesianRidge", "HuberRegressor", "SGDRegressor", "LinearSVR",
)  # fmt: skip
_CLASSIFICATIONS: Final = (
    "LogisticRegression", "LogisticRegressionCV", "RidgeClassifier", "RidgeClassifierCV", "SGDClassifier",
    "LinearSVC", "Perceptron",
)  # fmt: skip
_PREDICT: Final[dict[str, Make]] = {
    **dict.fromkeys(_REGRESSIONS, _scores),
    **dict.fromkeys(_CLASSIFICATIONS, _linear_labels),
    **dict.fromkeys(("RandomForestClassifier", "ExtraTreesClassifier"), _forest_labels),
    **dict.fromkeys(("RandomForestRegressor", "ExtraTreesRegressor"), _forest_mean),
    "GradientBoostingClassifier": _boosted_labels,
    "GradientBoostingRegressor": _boosted_values,
}
_PREDICT_PROBA: Final[dict[str, Make]] = {
    **dict.fromkeys(("LogisticRegression", "LogisticRegressionCV"), _logistic),
    **dict.fromkeys(("RandomForestClassifier", "ExtraTreesClassifier"), _forest_votes),
    "GradientBoostingClassifier": _boosted_probabilities,
}
