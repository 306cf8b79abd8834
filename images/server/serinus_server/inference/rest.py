"""The protocol over HTTP. Of floats that are no number JSON has null, as MLServer does; in binary they are kept."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import orjson

from serinus_server import reading, shown
from serinus_server.app import JSON
from serinus_server.http import Request
from serinus_server.inference import binary, outputs, tensors
from serinus_server.inference.outputs import Output
from serinus_server.inference.served import Served
from serinus_server.problems import RequestProblem, Slow
from serinus_server.values import Call

_NUMPY: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
_PARAMETER: Final = "binary_data_output"
# What of a request says something about its answer.
_SAYING: Final = frozenset({"id", "outputs", "parameters"})
_OUTPUT: Final = "binary_data"


class Answer(bytes):
    """A body that needs other headers than those of JSON."""

    headers: bytes = JSON


class V2Protocol:
    """Reads requests and writes answers."""

    name = "v2"

    def __init__(self, served: Served, *, binary_answers: bool = False) -> None:
        self._served = served
        # An answer with binary data needs a header of its own.
        self._binary_answers = binary_answers
        self._told = {"model_name": served.name}
        if served.version:
            self._told["model_version"] = served.version

    def decode(self, request: Request) -> tuple[Call, Callable[[Any], bytes]]:
        """The call, and how its outputs are written; raises a RequestProblem."""
        length = request.header(binary.HEADER)
        try:
            return self._read(*binary.parted(request.body, length)) if length else self._read(request.body)
        except RequestProblem as problem:
            if not self._served.has(problem.column):
                problem.column = ""
            raise

    def _read(self, body: bytes, rest: bytes | memoryview = b"") -> tuple[Call, Callable[[Any], bytes]]:
        content = reading.quickly(body)
        if type(content.get("inputs")) is not list:
            raise RequestProblem(400, f"the body wants a list of inputs, and has {_got(content)}")
        inputs, parameters = content["inputs"], content.get("parameters")
        given = binary.tensors(inputs, rest) if rest else [tensors.of_json(one) for one in inputs]
        if type(parameters) is dict and parameters.get("content_type") == "pd_json":
            given = [one._replace(content_type=one.content_type or "pd_json") for one in given]
        try:
            return self._served.call(given, parameters), self._encoder(content)
        except Slow as slow:
            encode = self._encoder(content)
            raise slow.then(lambda call: (call, encode)) from None

    def _encoder(self, content: dict[str, Any]) -> Callable[[Any], bytes]:
        if content.keys().isdisjoint(_SAYING):
            return self._plainly
        wanted, identifier = content.get("outputs"), content.get("id")
        told = self._told if identifier is None else {**self._told, "id": _id(identifier)}
        names = self._served.names
        is_binary, wanted = self._wanted(wanted, content.get("parameters"))

        def encode(returned: Any) -> bytes:
            made = outputs.chosen(outputs.read(returned, names), wanted)
            return _binary(told, made, is_binary) if is_binary else _json(told, made)

        return encode

    def _plainly(self, returned: Any) -> bytes:
        return _json(self._told, outputs.read(returned, self._served.names))

    def _wanted(self, wanted: Any, parameters: Any) -> tuple[Callable[[str], bool] | None, list[str]]:
        """Which outputs are to be in binary, if any, and which there are to be."""
        every = bool(self._binary_answers and type(parameters) is dict and parameters.get(_PARAMETER) is True)
        if not wanted:
            return ((lambda _: True) if every else None), []
        if type(wanted) is not list or not all(type(one) is dict and type(one.get("name")) is str for one in wanted):
            raise RequestProblem(400, f"outputs wants a list of objects with a name, and got {shown.value(wanted)}")
        says = {one["name"]: _says(one, every) for one in wanted}
        is_any = self._binary_answers and any(says.values())
        return (says.__getitem__ if is_any else None), list(says)

    @staticmethod
    def problem(problem: RequestProblem) -> bytes:
        """As clients of this protocol read it."""
        return orjson.dumps({"error": problem.message})


def _json(told: dict[str, str], made: list[Output]) -> bytes:
    written = [_written(one) for one in made]
    return orjson.dumps({**told, "outputs": written}, option=_NUMPY)


def _written(one: Output) -> dict[str, Any]:
    name, datatype, array, content_type = one
    told: dict[str, Any] = {"name": name, "datatype": datatype, "shape": array.shape}
    values = array.reshape(-1)
    if datatype == outputs.BYTES:
        texts, is_base64 = binary.texts(values.tolist())
        told["parameters"] = {"content_type": "base64" if is_base64 else content_type}
        told["data"] = texts
    else:
        told["data"] = np.ascontiguousarray(values)
    return told


def _binary(told: dict[str, str], made: list[Output], is_binary: Callable[[str], bool]) -> Answer:
    head, parts = [], []
    for one in made:
        if not is_binary(one.name):
            head.append(_written(one))
            continue
        raw = binary.raw(one)
        parts.append(raw)
        size = {"binary_data_size": len(raw)}
        head.append({"name": one.name, "datatype": one.datatype, "shape": one.array.shape, "parameters": size})
    json = orjson.dumps({**told, "outputs": head}, option=_NUMPY)
    answer = Answer(b"".join((json, *parts)))
    answer.headers = binary.HEADERS % len(json)
    return answer


def _id(identifier: Any) -> str:
    if type(identifier) is not str:
        raise RequestProblem(400, f"id wants a string, and got {shown.value(identifier)}")
    return identifier


def _says(one: dict[str, Any], every: bool) -> bool:  # noqa: FBT001 - what all of them say
    parameters = one.get("parameters")
    said = parameters.get(_OUTPUT) if type(parameters) is dict else None
    return every if said is None else said is True


def _got(content: dict[str, Any]) -> str:
    return shown.value(content["inputs"]) if "inputs" in content else shown.names(content)
