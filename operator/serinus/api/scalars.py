"""Values that are text on the wire and mean more: durations, shares, quantities, times."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, PlainSerializer
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from serinus.api.rules import VALIDATIONS, Rule, broken

# As in Gateway API (GEP-2257): a form that Go, CEL and people read alike.
DURATION = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"
PERCENT = "^[0-9]{1,4}([.][0-9]{1,2})?%$"

_DURATION = re.compile(DURATION)
_PERCENT = re.compile(PERCENT)
_UNITS = {
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_BINARY = {f"{prefix}i": Decimal(1024) ** power for power, prefix in enumerate("KMGTPE", start=1)}
_DECIMAL = {prefix: Decimal(1000) ** power for power, prefix in enumerate("kMGTPE", start=1)}
_FACTORS = {"": Decimal(1), "m": Decimal("0.001")} | _DECIMAL | _BINARY


def duration(text: str) -> timedelta:
    """The duration that a text such as `1h30m`, `5m` or `2ms` means; a ValueError where it means none."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is no duration; write one as 1h30m, 5m, 10s or 2ms")
    return sum((int(number) * _UNITS[unit] for number, unit in re.findall("([0-9]+)([a-z]+)", text)), timedelta())


def duration_text(value: timedelta) -> str:
    """The shortest text for a duration, whole milliseconds of it."""
    left = value // _UNITS["ms"]
    parts = []
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)):
        number, left = divmod(left, size)
        parts += [f"{number}{unit}"] if number else []
    return "".join(parts) or "0s"


def share(text: str) -> Decimal:
    """The share that a percentage means: 0.2 for `20%`; a ValueError where it means none."""
    if not _PERCENT.fullmatch(text):
        raise ValueError(f"{text!r} is no percentage; write one as 20% or 12.5%")
    return Decimal(text.removesuffix("%")) / 100


def share_text(value: Decimal) -> str:
    """The percentage for a share, two decimals of it at most."""
    return f"{(value * 100).quantize(Decimal('0.01')).normalize():f}%"


def quantity(value: int | str) -> Decimal:
    """The number that a quantity such as `2Gi` or `500m` means."""
    text = str(value)
    number = text.rstrip("mkMGTPEKi")
    return Decimal(number) * _FACTORS[text.removeprefix(number)]


@dataclass(frozen=True)
class Within:
    """Metadata of a timedelta: a duration on the wire, between two durations, both included."""

    low: str
    high: str

    @property
    def _rule(self) -> Rule:
        low, high = duration(self.low), duration(self.high)
        return Rule(
            f"self.matches('{DURATION}') && duration(self) >= duration('{self.low}')"
            f" && duration(self) <= duration('{self.high}')",
            f"write a duration from {self.low} to {self.high}, such as 1h30m, 5m, 10s or 2ms",
            lambda value: low <= value <= high,
        )

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        within = self._rule.__get_pydantic_core_schema__(source, handler)
        return _read_from_text(within, duration, duration_text, self._rule.message)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "maxLength": 28, "pattern": DURATION, VALIDATIONS: [self._rule.wire()]}


@dataclass(frozen=True)
class Percentage:
    """Metadata of a Decimal: a percentage on the wire, a share in Python."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return _read_from_text(handler(source), share, share_text, "write a percentage such as 20% or 12.5%")

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "maxLength": 8, "pattern": PERCENT}


@dataclass(frozen=True)
class IntOrText:
    """Metadata of `int | str`: both on the wire, where a text keeps to a pattern if there is one."""

    pattern: str = ""
    max_length: int = 64

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        bounds: JsonSchemaValue = {"maxLength": self.max_length} | ({"pattern": self.pattern} if self.pattern else {})
        return {"x-kubernetes-int-or-string": True} | bounds

    def _check(self, value: object) -> object:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str) and len(value) <= self.max_length and self._fits(value):
            return value
        form = f" that matches {self.pattern}" if self.pattern else ""
        raise broken(f"write a whole number, or a text of {self.max_length} characters at most{form}")

    def _fits(self, text: str) -> bool:
        return not self.pattern or re.fullmatch(self.pattern, text) is not None


QUANTITY = "^[0-9]{1,15}([.][0-9]{1,9})?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"
Quantity = Annotated[int | str, IntOrText(QUANTITY, 27)]


def timestamp(value: datetime) -> str:
    """The text for a time, as metav1.Time has it."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parsed_time(text: str | None) -> datetime | None:
    """The time that metav1.Time or metav1.MicroTime has as text; None for none, or for what is no time."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


# Whole seconds in UTC: a model never holds what the wire cannot say.
Time = Annotated[
    datetime,
    AfterValidator(lambda value: value.astimezone(UTC).replace(microsecond=0)),
    PlainSerializer(timestamp, return_type=str),
]


def _read_from_text[T](
    schema: CoreSchema, read: Callable[[str], T], write: Callable[[T], str], message: str
) -> CoreSchema:
    """A schema that also takes the text of its value, and writes it."""

    def validate(value: object) -> object:
        try:
            return read(value) if isinstance(value, str) else value
        except ValueError:
            raise broken(message) from None

    text = core_schema.plain_serializer_function_ser_schema(write, return_schema=core_schema.str_schema())
    return core_schema.no_info_before_validator_function(validate, schema, serialization=text)
