"""An action is asked for by an annotation, and one that cannot be understood is answered."""

import pytest

from serinus.api.action import MEANING, Action, Verb, requested
from serinus.api.invalid import Invalid
from serinus.api.names import Annotation


def test_a_verb_and_an_id_ask_for_an_action() -> None:
    assert requested({Annotation.ACTION: "promote-full@2026-11-21T12:00"}) == Action(
        Verb.PROMOTE_FULL, "2026-11-21T12:00"
    )


@pytest.mark.parametrize("annotations", [{}, {"other": "abort@1"}, {Annotation.ACTION: ""}])
def test_without_the_annotation_nothing_is_asked_for(annotations: dict[str, str]) -> None:
    assert requested(annotations) is None


@pytest.mark.parametrize("text", ["abort", "abort@", "explode@1", "@1", "abort@a b", "abort@" + "1" * 65, "Abort@1"])
def test_what_is_no_action_is_answered_with_what_would_be(text: str) -> None:
    answer = requested({Annotation.ACTION: text})
    assert isinstance(answer, Invalid)
    assert "metadata.annotations[serinus.dev/action]" in answer.message
    assert "write <verb>@<id>, with one of promote, promote-full, abort" in answer.message


def test_every_verb_has_a_meaning() -> None:
    assert set(MEANING) == set(Verb)
