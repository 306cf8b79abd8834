"""The result always fits into a termination message, and says what matters most."""

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from serinus_fetch import result
from serinus_fetch.failures import Broken, Failure, Reason
from serinus_fetch.order import MOST_INPUTS
from serinus_fetch.result import Outcome

SHA = "0123456789abcdef" * 4
COMMIT = "ab" * 20

# Lone surrogates too: a csv or a name of a file can hold anything.
texts = st.text(st.characters(exclude_categories=()), max_size=2000)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
inputs = st.none() | st.tuples(digests, st.none() | st.integers(0, 2**63))
broken = st.builds(Broken, texts, texts, texts, texts)
failures = st.builds(Failure, st.sampled_from(Reason), texts, st.booleans())
outcomes = st.builds(
    Outcome,
    st.sampled_from(["", COMMIT, COMMIT + "0" * 24]),
    st.lists(inputs, max_size=MOST_INPUTS).map(tuple),
    st.lists(broken, max_size=12).flatmap(lambda few: st.integers(0, 40).map(lambda times: tuple(few * times))),
    st.lists(failures, max_size=4).map(tuple),
)


def _decoded(outcome: Outcome) -> dict[str, Any]:
    encoded = result.encoded(outcome)
    assert len(encoded) <= 4096
    decoded: dict[str, Any] = json.loads(encoded)
    return decoded


@given(outcomes)
def test_every_result_fits(outcome: Outcome) -> None:
    """And what may not be left out is there: the commit, all digests, the reason, and how much was left out."""
    said = _decoded(outcome)
    assert said.get("commit", "") == outcome.commit
    assert [one and base64.urlsafe_b64decode(f"{one[0]}=").hex() for one in said.get("inputs", [])] == [
        one and one[0] for one in outcome.inputs
    ]
    assert [one and one[1] for one in said.get("inputs", [])] == [one and one[1] for one in outcome.inputs]
    assert ("failure" in said) == bool(outcome.failures)
    assert len(said.get("broken", [])) + said.get("more", 0) == len(outcome.broken)


def test_worst_case_still_names_something() -> None:
    """As much of everything as there can be, all of it in letters that JSON writes in two."""
    text = '"' * 5000
    worst = Outcome(
        COMMIT + "0" * 24,
        tuple((SHA, 2**63) for _ in range(MOST_INPUTS)),
        tuple(Broken(text, text, text, text) for _ in range(10_000)),
        tuple(Failure(Reason.INPUT_UNREADABLE, text) for _ in range(MOST_INPUTS)),
    )
    said = _decoded(worst)
    assert len(said["failure"]["message"]) > 500
    assert said["more"] == 10_000 - len(said.get("broken", []))


def test_form_of_a_result() -> None:
    outcome = Outcome(
        COMMIT,
        ((SHA, 1000), (SHA, None), None),
        (Broken("train", "", "at least 5 rows", "4 rows"), Broken("train", "age", "no value below 0", "3 rows")),
        (Failure(Reason.EXPECTATIONS_BROKEN, "2 expectations are broken"),),
    )
    short = "ASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4mrze8"
    assert _decoded(outcome) == {
        "commit": COMMIT,
        "inputs": [[short, 1000], [short, None], None],
        "broken": [
            {"input": "train", "expected": "at least 5 rows", "found": "4 rows"},
            {"input": "train", "column": "age", "expected": "no value below 0", "found": "3 rows"},
        ],
        "failure": {"reason": "ExpectationsBroken", "message": "2 expectations are broken"},
    }


def test_nothing_to_say_is_an_empty_object() -> None:
    assert result.encoded(Outcome()) == b"{}"


def test_final_failure_comes_before_one_that_may_pass() -> None:
    later, final = Failure(Reason.SOURCE_UNREADABLE, "busy", transient=True), Failure(Reason.DIGEST_MISMATCH, "wrong")
    outcome = Outcome(failures=(later, final))
    assert _decoded(outcome)["failure"] == {
        "reason": "DigestMismatch",
        "message": "wrong (and 1 more: see the container's log)",
    }
    assert result.exit_code(outcome) == 65
    assert result.exit_code(Outcome(failures=(later,))) == 1
    assert result.exit_code(Outcome()) == 0
