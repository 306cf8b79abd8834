"""The sketches of one column as values: adding up, quantiles, and the index of drift."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serinus_server.sketches import Categories, Document, Numbers, Side, Sketch, keys, merge, psi
from serinus_server.sketches import document as documents
from serinus_server.sketches.grid import Grid
from serinus_server.sketches.merging import parse

NUMBERS = st.lists(st.floats(), max_size=60)
WORDS = st.lists(st.sampled_from("abcdefg"), max_size=40)


def sketch(values: Sequence[float] | np.ndarray) -> Numbers:
    grid = Grid()
    grid.add(np.array(values, np.float64).reshape(-1, 1), np.array([0]))
    return grid.sketch(0)


def words(values: Sequence[str]) -> Categories:
    return Categories(dict(sorted(Counter(values).items())))


@settings(deadline=None)
@given(NUMBERS, NUMBERS, NUMBERS)
def test_numbers_add_up_in_any_order_to_the_whole(one: list[float], two: list[float], three: list[float]) -> None:
    a, b, c = sketch(one), sketch(two), sketch(three)
    assert merge(a, b) == merge(b, a)
    assert merge(merge(a, b), c) == merge(a, merge(b, c)) == sketch([*one, *two, *three])


@pytest.mark.parametrize("parts", [1, 3, 50])
def test_it_adds_up_also_where_neighbours_had_to_become_one(parts: int) -> None:
    rng = np.random.default_rng(5)
    # So many powers of two of both signs that several levels are given up.
    values = np.exp(rng.uniform(-600, 600, 20_000)) * rng.choice([-1, 1], 20_000)
    whole, together = sketch(values), Numbers()
    for part in np.array_split(values, parts):
        together = together.plus(sketch(part))
    assert together == whole
    assert whole.level > 2
    assert len(whole.buckets) <= keys.LARGEST
    assert whole.count == 20_000


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=100), st.floats(0, 1))
def test_a_quantile_is_within_the_error(values: list[float], share: float) -> None:
    told = sketch(values)
    true = float(np.quantile(values, share, method="inverted_cdf"))
    at = told.quantile(share)
    assert at == true or abs(at - true) <= told.error * abs(true) * (1 + 1e-9) + 1e-304


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, keys.COARSEST))
def test_a_number_lies_in_its_bucket(value: float, level: int) -> None:
    if abs(value) < 1e-300:
        return
    low, high = keys.bounds(keys.key(value, level), level)
    assert low <= value <= high
    assert keys.coarser(keys.key(value), level) == keys.key(value, level)


def test_what_is_no_number_is_counted_apart() -> None:
    told = sketch([math.nan, -math.nan, math.inf, -math.inf, -math.inf, 0.0, -0.0, 1e-320, 1.0])
    assert (told.missing, told.above, told.below, told.zero, told.count) == (2, 1, 2, 3, 7)
    assert told.buckets == {keys.key(1.0): 1}


def test_small_integers_have_buckets_of_their_own() -> None:
    assert len(sketch(np.arange(-255, 256)).buckets) == 510


def test_quantiles_of_nothing_and_of_infinities() -> None:
    assert math.isnan(Numbers().quantile(0.5))
    assert sketch([-math.inf, 1.0, math.inf]).quantile(0) == -math.inf
    assert sketch([-math.inf, 1.0, math.inf]).quantile(1) == math.inf


@given(WORDS, WORDS, WORDS)
def test_categories_add_up_in_any_order_to_the_whole(one: list[str], two: list[str], three: list[str]) -> None:
    a, b, c = words(one), words(two), words(three)
    assert merge(a, b) == merge(b, a)
    assert merge(merge(a, b), c) == merge(a, merge(b, c)) == words([*one, *two, *three])


def test_frequent_categories_keep_their_names_among_many() -> None:
    rng = np.random.default_rng(2)
    together, true = Categories(), Counter[str]()
    for _ in range(20):
        part = ["often"] * 300 + [str(one) for one in rng.integers(0, 10_000, 700)]
        true.update(part)
        together = together.plus(words(part))
    assert together.count == true.total()
    assert len(together.counts) <= 256
    assert all(true[name] - together.other <= count <= true[name] for name, count in together.counts.items())
    assert together.counts["often"] == 6000


def test_kinds_do_not_mix() -> None:
    with pytest.raises(ValueError, match="cannot be merged"):
        merge(Numbers(), Categories())
    with pytest.raises(ValueError, match=r"column age: .* cannot be merged"):
        Side(columns={"age": Numbers()}).plus(Side(columns={"age": Categories()}))


@pytest.mark.parametrize("seed", range(5))
def test_the_same_distribution_does_not_drift(seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert psi(sketch(rng.normal(size=5000)), sketch(rng.normal(size=5000))) < 0.01
    one, other = (words(rng.choice(list("abc"), 5000, p=[0.9, 0.09, 0.01]).tolist()) for _ in range(2))
    assert psi(one, other) < 0.01


@pytest.mark.parametrize("seed", range(3))
def test_a_shifted_distribution_drifts_alike_in_both_directions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = sketch(rng.normal(size=2000)), sketch(rng.normal(loc=1.0, size=2000))
    assert psi(one, other) > 0.5
    assert psi(one, other) == pytest.approx(psi(other, one))


def test_drift_is_near_what_it_is_of_known_shares() -> None:
    one, other = Categories({"a": 50_000, "b": 50_000}), Categories({"a": 70_000, "b": 30_000})
    assert psi(one, other) == pytest.approx(0.2 * math.log(7 / 3), rel=1e-3)


def test_constants_that_differ_drift_and_the_same_do_not() -> None:
    assert psi(sketch([1.0] * 500), sketch([2.0] * 500)) > 5
    assert psi(sketch([2.0] * 500), sketch([1.0] * 500)) > 5
    assert psi(sketch([1.0] * 500), sketch([1.0] * 300)) == 0
    assert psi(sketch([0.0] * 500), sketch([-1.0] * 300)) > 5


def test_more_that_is_missing_is_drift() -> None:
    assert psi(sketch([1.0] * 500), sketch([1.0] * 250 + [math.nan] * 250)) > 0.5
    assert psi(Categories({"a": 500}), Categories({"a": 250}, missing=250)) > 0.5


def test_names_that_happen_to_be_kept_are_no_drift() -> None:
    one = Categories({f"id {at}": 1 for at in range(100)}, other=9_900)
    other = Categories({f"id {at}": 1 for at in range(500, 600)}, other=9_900)
    assert psi(one, other) < 0.01


def test_nothing_cannot_drift_and_another_kind_is_endless_drift() -> None:
    assert math.isnan(psi(Numbers(), sketch([1.0])))
    assert psi(sketch([1.0]), Categories({"a": 1})) == math.inf


def test_a_document_survives_its_json() -> None:
    columns: dict[str, Sketch] = {
        "age": sketch([1, -2, math.nan, math.inf, 0]),
        "city": Categories({"Köln": 2, "a": 1}, 3, 4),
    }
    told = Document({"name": "churn"}, Side(5, 4, 1, columns), Side())
    assert documents.parse(told.json()) == told
    assert told.plus(told).inputs.columns["city"] == Categories({"Köln": 4, "a": 2}, 6, 8)
    assert parse(columns["age"].document()) == columns["age"]


def test_what_is_no_document_is_refused() -> None:
    with pytest.raises(ValueError, match="no sketches of format"):
        documents.parse(b'{"format": "else"}')
    with pytest.raises(ValueError, match="but 'list'"):
        documents.parse(b"[]")
