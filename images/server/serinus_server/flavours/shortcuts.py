"""What an estimator computes, without all that scikit-learn looks at before it computes it.

For one row of a small model the looking takes 95 % of the time: names, types, shapes, tags and, for forests, a pool of
jobs for each call. Each shortcut here does the same arithmetic in the same order. Whether it gives the same to the last
bit is tried when the model is loaded (`probing`), and what is not finite goes to the estimator, which knows what to say.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from serinus_server.values import Array

# Outputs of a matrix of finite numbers, whose columns are those of the estimator; None if it is for the estimator.
type Shortcut = Callable[[Array], Any]

_FORESTS: Final = ("RandomForestClassifier", "ExtraTreesClassifier")
_MEANS: Final = ("RandomForestRegressor", "ExtraTreesRegressor")
_REGRESSIONS: Final = (
    "LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet", "ElasticNetCV",
    "BayesianRidge", "HuberRegressor", "SGDRegressor", "LinearSVR",
)  # fmt: skip
_CLASSIFICATIONS: Final = (
    "LogisticRegression", "LogisticRegressionCV", "RidgeClassifier", "RidgeClassifierCV", "SGDClassifier",
    "LinearSVC", "Perceptron",
)  # fmt: skip
_LOGISTIC: Final = ("LogisticRegression", "LogisticRegressionCV")


def of(estimator: Any, method: str) -> Shortcut | None:
    """The shortcut of this method of an estimator, or of a pipeline of scalers before it; None if there is none."""
    if not type(estimator).__module__.startswith("sklearn."):
        return None
    name = type(estimator).__name__
    if name == "Pipeline":
        return _pipeline(estimator, method)
    if method == "predict":
        return _predict(estimator, name)
    if method == "predict_proba":
        return _probabilities(estimator, name)
    return None


def _predict(estimator: Any, name: str) -> Shortcut | None:
    if name in _REGRESSIONS:
        return _scores(estimator)
    if name in _CLASSIFICATIONS:
        return _labels(_scores(estimator), estimator.classes_, 0.0, is_over=True)
    if name in _MEANS:
        return _forest_mean(estimator)
    if name in _FORESTS and estimator.n_outputs_ == 1:
        votes, classes = _forest_votes(estimator), estimator.classes_
        return lambda rows: None if (given := votes(rows)) is None else classes.take(given.argmax(axis=1), axis=0)
    if name == "GradientBoostingClassifier":
        return _boosted_labels(estimator)
    if name == "GradientBoostingRegressor":
        raw = _boosted(estimator)
        return lambda rows: None if (given := raw(rows)) is None else given.ravel()
    return None


def _probabilities(estimator: Any, name: str) -> Shortcut | None:
    if name in _FORESTS and estimator.n_outputs_ == 1:
        return _forest_votes(estimator)
    if name in _LOGISTIC:
        return _logistic(estimator)
    if name == "GradientBoostingClassifier":
        raw, loss = _boosted(estimator), estimator._loss  # noqa: SLF001 (see `_boosted`)
        return lambda rows: None if (given := raw(rows)) is None else loss.predict_proba(_flat(given))
    return None


def _pipeline(pipeline: Any, method: str) -> Shortcut | None:
    *before, (_, last) = pipeline.steps
    scale = [_scaler(step) for _, step in before if step not in (None, "passthrough")]
    end = of(last, method)
    if end is None or None in scale:
        return None

    def run(rows: Array) -> Any:
        for one in scale:
            rows = one(rows)  # type: ignore[misc] (there is no None, see above)
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


def _labels(scores: Shortcut, classes: Array, threshold: float, *, is_over: bool) -> Shortcut:
    def run(rows: Array) -> Any:
        given = scores(rows)
        if given is None:
            return None
        given = _flat(given)
        if given.ndim > 1:
            return classes.take(given.argmax(axis=1), axis=0)
        chosen = given > threshold if is_over else given >= threshold
        return classes.take(chosen.astype(np.intp), axis=0)

    return run


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
        single = rows.astype(np.float32)
    return single if np.isfinite(single.sum(dtype=np.float64)) else None


def _forest_votes(forest: Any) -> Shortcut:
    trees = [tree.tree_.predict for tree in forest.estimators_]
    classes = forest.n_classes_

    def run(rows: Array) -> Array | None:
        single = _single(rows)
        if single is None:
            return None
        votes = np.zeros((len(rows), classes))
        for predict in trees:
            votes += predict(single)
        votes /= len(trees)
        return votes

    return run


def _forest_mean(forest: Any) -> Shortcut | None:
    if forest.n_outputs_ != 1:
        return None
    trees = [tree.tree_.predict for tree in forest.estimators_]

    def run(rows: Array) -> Array | None:
        single = _single(rows)
        if single is None:
            return None
        total = np.zeros(len(rows))
        for predict in trees:
            total += predict(single)[:, 0]
        total /= len(trees)
        return total

    return run


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
    return _labels(_boosted(estimator), estimator.classes_, 0.0, is_over=False)
