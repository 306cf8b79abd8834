"""Bodies that no client should send: made of good ones by a seeded source of chance, wrong in one way or several."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

_DEEP: Final = 100_000
_WIDE: Final = 10_000
# As they stand in a text: most of them no library would write.
NASTY: Final[tuple[bytes, ...]] = (
    *(b"null", b"true", b"false", b"0", b"-0", b"-0.0", b"1", b"-1", b"0.5", b"999", b"NaN", b"Infinity", b"-Infinity"),
    *(b"1e999", b"-1e999", b"1e-999", b"1e308", b"9223372036854775807"),
    *(b"9223372036854775808", b"-9223372036854775809"),
    *(b"18446744073709551616", b"1" + b"0" * 400, b"-1" + b"0" * 400, b"9" * 5000, b"0." + b"3" * 5000, b"1.5e", b"01"),
    *(b"+1", b".5", b"0x10", b"1_000", b"undefined", b"'x'", b'""', b'"x"', b'"1"', b'"NaN"', b'"999"', b'"true"'),
    *(b'"2020-01-01"', b'"9999-99-99T99:99:99"', b'"\\ud800"'),
    *(b'"\\udc00\\ud800"', b'"\\u0000"', b'"\\ufeff"', b'"\\x"'),
    *(b'"\xff\xfe"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"\x00"'),
    *(b'"\n"', b'"unended', b'"\xf0\x9f\x98\x80"', b'"%s%n{0}"'),
    *(b'"' + b"y" * 100_000 + b'"', b'"' + b"\\u0041" * 20_000 + b'"', b'"' + b"\xc3\xa4" * 20_000 + b'"'),
    *(b"[]", b"[[]]", b"{}", b"[{}]", b"[null]", b'{"":null}'),
    *(b'{"a":{"b":[]}}', b"[[1,2],[3]]", b'[1,"x",null]', b"["),
    *(b"]", b"{", b"}", b",", b":", b"", b"[" * 50 + b"]" * 50),
    *(b"[" * 600 + b"]" * 600, b"[" * _DEEP, b'{"a":' * _DEEP),
    *(b"[" * _DEEP + b"]" * _DEEP, b"[" + b"0," * _WIDE + b"0]", b"[" + b"[]," * _WIDE + b"0]", b"/* */", b"1//"),
)  # fmt: skip
_SHAPES: Final[Sequence[Any]] = (
    *([], [0], [1], [-1], [2, 2], [2, -1], [3, 7], [0, 0], [1] * 40, [1] * 3000, [2**31 - 1] * 4, [2**63], [2**64, 0]),
    *([10**400], [1e9], [1.5, 2], ["2"], [None], [True], [[2]], {}, None, "2", 2, [10**6, 10**6], [1, 0, 10**9], [6]),
)
_DATATYPES: Final[Sequence[Any]] = (
    *("BOOL", "INT8", "UINT8", "INT16", "INT32", "INT64", "UINT64"),
    *("FP16", "FP32", "FP64", "BYTES", "BF16", "fp64", ""),
    *("X" * 5000, None, 7, [], {"FP64": 1}),
)  # fmt: skip
_SAMPLE: Final[Mapping[str, Sequence[Any]]] = {
    "double": (1.5, -2.0, 0, 1e300),
    "long": (1, -7, 2**53, 0),
    "string": ("red", "", "grün", "a,b"),
    "boolean": (True, False, True, False),
}
_V2: Final = {"double": "FP64", "long": "INT64", "string": "BYTES", "boolean": "BOOL"}

type Make = Callable[[Random], bytes]


@dataclass(frozen=True)
class Target:
    """What a server's model wants: columns by their types, of which a `?` at the end means optional, or one tensor."""

    name: str
    columns: Mapping[str, str]
    tensor: tuple[int, ...] = ()

    def rows(self, rng: Random, number: int) -> list[list[Any]]:
        """Good rows."""
        if self.tensor:
            return [[rng.random() for _ in range(self.tensor[-1])] for _ in range(number)]
        return [[rng.choice(_SAMPLE[kind.rstrip("?")]) for kind in self.columns.values()] for _ in range(number)]

    def body(self, rng: Random, number: int = 2) -> Any:
        """A good request to `/invocations`, in any of its formats."""
        rows = self.rows(rng, number)
        names = list(self.columns)
        if self.tensor:
            return {rng.choice(("inputs", "instances")): rows}
        objects = [dict(zip(names, row, strict=True)) for row in rows]
        lists = {name: [row[place] for row in rows] for place, name in enumerate(names)}
        forms = ("dataframe_split", {"columns": names, "data": rows}), ("dataframe_records", objects)
        form, content = rng.choice((*forms, ("instances", objects), ("inputs", lists)))
        return {form: content}

    def infer(self, rng: Random, number: int = 2) -> dict[str, Any]:
        """A good request of the Open Inference Protocol."""
        rows = self.rows(rng, number)
        if self.tensor:
            return {"inputs": [_input("x", "FP64", [number, self.tensor[-1]], [one for row in rows for one in row])]}
        named = enumerate(self.columns.items())
        data = [
            _input(name, _V2[kind.rstrip("?")], [number], [row[place] for row in rows]) for place, (name, kind) in named
        ]
        return {"id": "fuzz", "inputs": data}


def _input(name: str, datatype: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def written(content: Any, raw: Sequence[bytes] = ()) -> bytes:
    """As JSON, with `raw` in the places of "@0@", "@1@" and so on."""
    text = json.dumps(content).encode()
    for number, one in enumerate(raw):
        text = text.replace(b'"@%d@"' % number, one)
    return text


def places(content: Any) -> list[tuple[Any, Any]]:
    """All places of a tree: what they are in, and where in it."""
    keys = list(content) if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    found: list[tuple[Any, Any]] = [(content, key) for key in keys]
    return found + [below for key in keys for below in places(content[key])]


def replaced(rng: Random, content: Any) -> bytes:
    """One to three places with something else in them, or with nothing."""
    raw = [rng.choice(NASTY) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    for number in range(len(raw)):
        holder, key = rng.choice(places(content) or [({"": 0}, "")])
        if rng.random() < 0.1:
            del holder[key]
        else:
            holder[key] = f"@{number}@"
    return written(content, raw)


def everywhere(rng: Random, content: Any) -> bytes:
    """The same thing in every place that holds a single value."""
    single = [(holder, key) for holder, key in places(content) if not isinstance(holder[key], (dict, list))]
    for holder, key in single:
        holder[key] = "@0@"
    return written(content, [rng.choice([one for one in NASTY if len(one) < 10_000])])


def renamed(rng: Random, content: Any) -> bytes:
    """A name that is there twice, that nobody knows, that is empty or very long."""
    names = [(holder, key) for holder, key in places(content) if isinstance(holder, dict)]
    holder, key = rng.choice(names)
    other = rng.choice(("", "z" * 50_000, "\ud800", "0", "columns", "inputs", "params", "__class__", "a", key, "A"))
    text = written({**content, "@": 0}).replace(b', "@": 0}', b"}")
    name, value = json.dumps(key).encode(), written(holder[key])
    twice = name + b": " + value + b", " + json.dumps(other).encode() + b":"
    return text.replace(name + b":", twice, 1)


def flipped(rng: Random, data: bytes) -> bytes:
    """Bytes turned, cut out, doubled or put in."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 40))):
        at, size = rng.randrange(len(found) + 1), rng.choice((1, 1, 2, 8, 200))
        part = bytes(found[at : at + size])
        new = (bytes(one ^ (1 << rng.randrange(8)) for one in part), b"", part * 2, part * 50, rng.randbytes(size))
        found[at : at + size] = rng.choice(new)
    return bytes(found)


def cut(rng: Random, data: bytes) -> bytes:
    """The beginning of it, or the end."""
    at = rng.randrange(len(data) + 1)
    return data[:at] if rng.random() < 0.7 else data[at:]


def frame(rng: Random, target: Target) -> bytes:
    """A data frame whose columns and rows do not fit to each other, or to the signature."""
    names, rows = list(target.columns) or ["x"], target.rows(rng, 3)
    wide = [f"c{number}" for number in range(_WIDE)]
    columns, data = rng.choice((
        (names, []), ([], []), ([], rows), ([], [[]]), ([], [[], []]), (names, [[]]), (names, [[], []]),
        (names * 2, [row * 2 for row in rows]), ([*names, names[0]], [[*row, 1] for row in rows]),
        (names[1:], [row[1:] for row in rows]), ([*names, "new"], [[*row, 1] for row in rows]),
        (names, [row[1:] for row in rows]), (names, [[*row, 1] for row in rows]), (names, [rows[0], rows[1][1:]]),
        (wide, [[1.0] * _WIDE]), ([*names, *wide], [[*row, *range(_WIDE)] for row in rows]),
        (wide, rows), (names, [rows]),
        ([[name, name] for name in names], rows), ([{} for _ in names], rows), ([None] * len(names), rows),
        (list(range(len(names))), rows), ("".join(names), rows), (names, dict(enumerate(rows))), (names, rows[0]),
    ))  # fmt: skip
    index = rng.choice(([], [], [], [1], [1, 1, 1], [[1], 2, {}], None, "x", list(range(_WIDE))))
    return written({"dataframe_split": {"columns": columns, "data": data} | ({"index": index} if index != [] else {})})


def table(rng: Random, target: Target) -> bytes:
    """What may be CSV."""
    names = list(target.columns) or ["x"]
    good = "\n".join([",".join(names), *(",".join(map(str, row)) for row in target.rows(rng, 3))]).encode()
    quotes = (b'"', b'""""', b",", b"\n", b"\r", b"\0", b"\xff", b"\xef\xbb\xbf", b";", b"\t", b'"' + b"x" * 200_000)
    return rng.choice((
        good, b"", b"\n", b"\n\n\n,,,", b"," * _WIDE, ",".join(names).encode(), good.replace(b",", rng.choice(quotes)),
        good + b"\n1,2", good + b"\n" + b"1," * 50, good + rng.choice(quotes), flipped(rng, good), cut(rng, good),
        b",".join(b"c%d" % number for number in range(_WIDE)) + b"\n" + b"1," * _WIDE,
        good.decode().encode("utf-16"), rng.randbytes(900),
        good.replace(b"1", rng.choice((b"1e999", b"1" * 5000, b"nan", b"inf", b"=1+1", b"0x1", b"\xff"))),
    ))  # fmt: skip


def tensors(rng: Random, target: Target) -> bytes:
    """Tensors whose shape, type and data are not of one another."""
    content = target.infer(rng)
    for one in rng.sample(content["inputs"], rng.choice((1, len(content["inputs"])))):
        for key, values in (("shape", _SHAPES), ("datatype", _DATATYPES), ("data", _DATA)):
            if rng.random() < 0.5:
                one[key] = rng.choice(values)
        if rng.random() < 0.2:
            one["parameters"] = rng.choice(_PARAMETERS)
    if rng.random() < 0.2:
        content["outputs"] = rng.choice(_OUTPUTS)
    text = written(content)
    content["inputs"] *= rng.choice((1, 1, 1, 2, 500)) if len(text) < 2000 else 1
    return written(content)


_DATA: Final[Sequence[Any]] = (
    *([], [1], [1, 2], [[1], [2]], [[1, 2], [3]], [[[]]], [None], ["x"], [True], [1e308, 10**400], {}, None, "x", [{}]),
    *([0] * _WIDE, [300, -1], [2**63, -(2**64)], ["\ud800"], ["x" * 100_000, ""], [[0]] * 500),
)
_PARAMETERS: Final[Sequence[Any]] = (
    *(None, [], "x", {"content_type": "pd_json"}, {"content_type": "base64"}),
    *({"content_type": 5}, {"content_type": "np"}),
    *({"binary_data_size": 8}, {"binary_data_size": -1}, {"binary_data_size": 2**70}, {"content_type": "datetime"}),
)  # fmt: skip
_OUTPUTS: Final[Sequence[Any]] = (
    {},
    [1],
    [{"name": 1}],
    [{"name": "nothing"}],
    [{"name": "x" * 9000}],
    [{"name": "y"}] * 999,
    "x",
)


def labels(rng: Random) -> bytes:
    """What may be feedback."""
    item: dict[str, Any] = {
        "request_id": rng.choice(("a", "probe", "", "x" * 9000)),
        "label": rng.choice((1, "x", None)),
    }
    listed: Any = [item, {"request_id": "a", "labels": [1, 2]}]
    many = [{"request_id": "a", "label": 1} for _ in range(10_001)]
    content: Any = rng.choice((item, listed, [], [[]], many, [dict(item) for _ in range(200)], 5))
    return written(content) if rng.random() < 0.3 else replaced(rng, {"": content}).partition(b": ")[2][:-1]


def params(rng: Random, target: Target) -> bytes:
    """A good request with params that nobody asked for, or with two formats."""
    given: list[Any] = [{}, {"x": 1}, [], {"x" * 9000: [[]]}]
    more: dict[str, Any] = rng.choice(({"params": rng.choice(given)}, {"inputs": 1}))
    chat: dict[str, Any] = rng.choice(
        ({}, {"messages": []}, {"prompt": "x"}, {"input": None}, {"messages": [{"role": 1}]})
    )
    return written({**target.body(rng), **more, **chat, **rng.choice(({}, target.body(rng)))})
