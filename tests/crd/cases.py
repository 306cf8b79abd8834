"""A case for each constraint: a place in a valid object, a value that fits, one that does not, and what is said then.

The numbers and forms in the tables are written by hand, a second time: a bound that changes by accident is noticed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from tests.crd.objects import Json, example_for, get, put, without

JOB: Final = "TrainingJob"
DEPLOYMENT: Final = "ModelDeployment"


@dataclass(frozen=True)
class Case:
    """One constraint, by the kind, the path of what it is about, and its keyword in the schema."""

    kind: str
    path: str
    keyword: str
    good: Json
    bad: Json
    says: str

    def __str__(self) -> str:
        return f"{self.kind} {self.path} {self.keyword} {self.says}"[:120]

    @property
    def base(self) -> Json:
        """The valid object that the case changes."""
        return example_for(self.kind, self.path)

    @property
    def accepted(self) -> Json:
        """The object that keeps to the constraint."""
        return put(self.base, self.path, self.good)

    @property
    def rejected(self) -> Json:
        """The object that does not."""
        return put(self.base, self.path, self.bad)


class Required(Case):
    """A field that must be there."""

    @property
    def accepted(self) -> Json:
        """The object as it is."""
        return self.base

    @property
    def rejected(self) -> Json:
        """The object without the field."""
        return without(self.base, self.path)


type Length = int | tuple[int, str]


def longest(kind: str, lengths: Mapping[str, Length]) -> list[Case]:
    """Texts that have at most so many letters; where a form is asked for, what they start with."""
    cases = []
    for path, length in lengths.items():
        most, start = length if isinstance(length, tuple) else (length, "")
        good, bad = (start + "a" * (letters - len(start)) for letters in (most, most + 1))
        cases.append(Case(kind, path, "maxLength", good, bad, f"Too long: may not be more than {most} bytes"))
    return cases


def shortest(kind: str, length: int, texts: Mapping[str, tuple[str, str]]) -> list[Case]:
    """Texts that have so many letters at least, and that have not."""
    says = f"should be at least {length} chars long"
    return [Case(kind, path, "minLength", good, bad, says) for path, (good, bad) in texts.items()]


def not_empty(kind: str, texts: Mapping[str, str]) -> list[Case]:
    """Texts that fit, where none would be too short."""
    return shortest(kind, 1, {path: (good, "") for path, good in texts.items()})


def at_least(kind: str, bounds: Mapping[str, int | float]) -> list[Case]:
    """Numbers that may be this, but no less."""
    return [
        Case(kind, path, "minimum", low, low - 1, f"should be greater than or equal to {low}")
        for path, low in bounds.items()
    ]


def at_most(kind: str, bounds: Mapping[str, int | float]) -> list[Case]:
    """Numbers that may be this, but no more."""
    return [
        Case(kind, path, "maximum", high, high + 1, f"should be less than or equal to {high}")
        for path, high in bounds.items()
    ]


def forms(kind: str, texts: Mapping[str, tuple[str, str]]) -> list[Case]:
    """Texts that have the right form, and do not."""
    return [Case(kind, path, "pattern", good, bad, "should match") for path, (good, bad) in texts.items()]


def choices(kind: str, texts: Mapping[str, tuple[str, str]]) -> list[Case]:
    """Texts that are among those that may be chosen, and are not."""
    return [
        Case(kind, path, "enum", good, bad, f'Unsupported value: "{bad}": supported values: ')
        for path, (good, bad) in texts.items()
    ]


def times(kind: str, paths: Iterable[str]) -> list[Case]:
    """Texts that are a time."""
    good, bad = "2026-11-21T12:00:00Z", "yesterday"
    return [Case(kind, path, "format", good, bad, "must be of type date-time") for path in paths]


def required(kind: str, paths: Iterable[str]) -> list[Case]:
    """Fields that must be there."""
    return [Required(kind, path, "required", None, None, "Required value") for path in paths]


def most_items(kind: str, numbers: Mapping[str, int], key: str = "") -> list[Case]:
    """Lists of at most so many items, made by repeating the first, with a key of its own each where there is one."""
    cases = []
    for path, most in numbers.items():
        first = get(example_for(kind, path), path)[0]
        items = [first | {key: f"{first[key]}{number_in_letters(i)}"} if key else first for i in range(most + 1)]
        cases.append(Case(kind, path, "maxItems", items[:-1], items, f"must have at most {most} items"))
    return cases


def each_once(kind: str, paths: Iterable[str]) -> list[Case]:
    """Lists whose items are told apart by a key."""
    firsts = {path: get(example_for(kind, path), path)[0] for path in paths}
    return [Case(kind, path, "keys", [one], [one, one], "Duplicate value") for path, one in firsts.items()]


def most_keys(kind: str, numbers: Mapping[str, int]) -> list[Case]:
    """Maps of at most so many keys: those that are there, and others with the value of the first."""
    cases = []
    for path, most in numbers.items():
        there = get(example_for(kind, path), path)
        value = next(iter(there.values()))
        good = there | {f"k{number_in_letters(i)}": value for i in range(most - len(there))}
        cases.append(Case(kind, path, "maxProperties", good, good | {"more": value}, f"must have at most {most} items"))
    return cases


def durations(kind: str, bounds: Mapping[str, tuple[str, str, str, str]]) -> list[Case]:
    """Durations between two, both included; then one that is too short, and one that is too long."""
    cases = []
    for path, (low, high, under, over) in bounds.items():
        says = f"write a duration from {low} to {high}"
        cases += [
            Case(kind, path, "pattern", low, "5 minutes", "should match"),
            Case(
                kind,
                path,
                "maxLength",
                low,
                "00001s" * 5,
                "Too long: may not be more than 28",
            ),
            Case(kind, path, "rule", low, under, says),
            Case(kind, path, "rule", high, over, says),
            Case(kind, path, "rule", high, "5 minutes", says),
        ]
    return cases


def number_in_letters(number: int) -> str:
    """A name for a number, for there are names that take no digits."""
    return "".join(chr(ord("a") + int(digit)) for digit in f"{number:04d}")
