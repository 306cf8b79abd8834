"""Hostile requests, as the bytes that a client would send: bodies that are wrong, and HTTP that is.

A case is made of a seed and a number alone, so that one that fails can be had again: `Fuzz(target, seed).case(number)`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from tests.unit.server import fuzzing_bodies as bodies
from tests.unit.server.fuzzing_bodies import Target

_JSON: Final = b"application/json"
_TYPES: Final = (
    *(b"", b"text/csv", b"text/plain", b"application/json; charset=utf-8", b"application/json; charset=utf-16", b";;;"),
    *(b"application/json; charset", b"application/json;charset=" + b"x" * 5000),
    *(b"application/json; a=b; c", b"\xff\xfe"),
    *(b"APPLICATION/JSON", b"application/vnd.apache.parquet"),
    *(b"multipart/form-data; boundary=x", b"x" * 9000, b"text/csv;"),
    *(b"application/octet-stream", b"application/json, text/csv", b'application/json; charset="utf-8"'),
)  # fmt: skip
_PATHS: Final = (
    *(b"/", b"//", b"/invocations/", b"/invocations?", b"/invocations?a=%ff", b"/%69nvocations", b"/../../etc/passwd"),
    *(b"/v2", b"/v2/", b"/v2/models", b"/v2/models/", b"/v2/models//infer", b"/v2/models/other/infer", b"/v2/health/x"),
    *(b"/v2/models/fuzz/versions/", b"/v2/models/fuzz/versions/9/infer", b"/v2/models/" + b"n" * 9000 + b"/infer"),
    *(b"/v2/models/%00/ready", b"/v2/models/%ff%fe", b"/v2/models/fuzz/ready", b"/%", b"/%zz", b"/" + b"p" * 20_000),
    *(b"/metrics", b"/metrics?x", b"/openapi.json", b"/docs", b"/sketches", b"/tap", b"/feedback", b"/ping", b"/live"),
    *(b"http://other/invocations", b"*", b"/\xc3\xa4", b"/invocations#x", b"/version", b"/" + b"%41" * 3000),
)
_METHODS: Final = (b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE", b"PROPFIND")
_HEADERS: Final = (
    *(
        b"x-request-id: \xff\xfe",
        b"x-request-id: " + b"i" * 5000,
        b"x-request-id: a b",
        b"x-request-id:",
        b"accept: \xff",
    ),
    *(b"inference-header-content-length: 5", b"inference-header-content-length: -1", b"accept: " + b"a/b," * 500),
    *(b"inference-header-content-length: 99999999999999999999", b"inference-header-content-length: x", b"x: y\r\nx: z"),
    *(b"inference-header-content-length: " + b"9" * 5000, b"expect: 100-continue", b"expect: 200-ok", b"upgrade: h2c"),
    *(b"connection: close", b"content-encoding: gzip", b"accept-encoding: *", b"cookie: " + b"c" * 9000),
)
_HEADS: Final = (
    *(b"\r\n" * 50, b"\0" * 100, b"GET", b"GET /", b"GET / HTTP/9.9", b"GET / HTTP/1.1\r\n: x", b"GET / HTTP/1.1\r\nx"),
    *(b"get / http/1.1", b"GET / HTTP/1.1\r\n x: y", b"GET  /  HTTP/1.1", b"G\xffT / HTTP/1.1", b"GET /\0 HTTP/1.1"),
    *(b"PRI * HTTP/2.0", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    *(b"CONNECT x:1 HTTP/1.1", b"GET / HTTP/1.1\nx: y"),
    *(b"GET / HTTP/1.1\r\nx: \0", b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20_000),
    *(b"GET /" + b"p" * 200_000, b"A" * 70_000),
    b"GET / HTTP/1.1\r\nx: " + b"y" * 90_000,
    *(b"GET / HTTP/1.1\r\n" + b"n" * 90_000, b"GET / HTTP/1.0", b"GET / RTSP/1.0"),
    b"POST / HTTP/1.1\r\nupgrade: x\r\nconnection: upgrade",
    *(b"SOURCE / ICE/1.0", b"GET / HTTP/1.1\r\nhost: a\r\nhost: b"),
)  # fmt: skip
_LENGTHS: Final = (
    *(
        b"content-length: -1",
        b"content-length: 1e3",
        b"content-length: 0x10",
        b"content-length: ",
        b"content-length: x",
    ),
    *(
        b"content-length: 5\r\ncontent-length: 6",
        b"content-length: 5\r\ncontent-length: 5",
        b"content-length: 99999999999",
    ),
    *(b"content-length: " + b"9" * 30, b"content-length: 5\r\ntransfer-encoding: chunked", b"transfer-encoding: gzip"),
    *(b"transfer-encoding: chunked, chunked", b"transfer-encoding: chunked, identity", b"transfer-encoding: xchunked"),
    *(b"content-length: 5, 6", b"content-length : 5", b"content-length: +5", b"transfer-encoding: \x0bchunked"),
)
_CHUNKS: Final = (
    *(b"x\r\n", b"-5\r\nhello\r\n", b"5\r\nhel", b"5\r\nhello0\r\n\r\n"),
    *(b"ffffffffffffffff\r\n", b"fffffffffffffffff\r\nx"),
    *(b"5;" + b"e" * 90_000 + b"\r\nhello\r\n0\r\n\r\n", b"5\nhello\n0\n\n"),
    *(b"0\r\nx: y\r\n\r\n", b"0\r\n" + b"t: r\r\n" * 20_000),
    *(b"1\r\n{\r\n" * 5000 + b"0\r\n\r\n", b"5 \r\nhello\r\n0\r\n\r\n"),
    *(b"0x5\r\nhello\r\n0\r\n\r\n", b"\r\n\r\n", b"1\r\n{\r\n0\r\n"),
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """What is sent. One that `is_whole` is HTTP: it has exactly one answer, and the connection may go on after it."""

    number: int
    kind: str
    data: bytes
    is_whole: bool
    # How many pieces it is sent in, with a moment between them.
    pieces: int = 1

    def __str__(self) -> str:
        shown = self.data if len(self.data) <= 500 else self.data[:300] + b" ... " + self.data[-150:]
        return f"case {self.number} ({self.kind}, {len(self.data)} bytes): {shown!r}"


class Fuzz:
    """Cases for a server that serves this, one for every number."""

    def __init__(self, target: Target, seed: int) -> None:
        self.target = target
        self.seed = seed

    def case(self, number: int) -> Case:
        """The same one for the same number, whoever asks."""
        rng = Random(f"{self.seed}/{number}")  # noqa: S311 (chance that can be had again)
        if rng.random() < _SHARE_OF_HTTP:
            kind, make = rng.choice(_BROKEN)
            return Case(number, kind, make(rng, self.target), is_whole=False, pieces=rng.choice((1, 1, 1, 2, 5)))
        kind, make = rng.choice(_WHOLE)
        return Case(number, kind, make(rng, self.target), is_whole=True, pieces=rng.choice((1,) * 20 + (3,)))


def request(path: bytes, body: bytes, content_type: bytes = _JSON, *headers: bytes, method: bytes = b"POST") -> bytes:
    """A request whose HTTP is good."""
    lines = [b"%b %b HTTP/1.1" % (method, path), b"host: h", b"content-length: %d" % len(body), *headers]
    if content_type:
        lines.append(b"content-type: " + content_type)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def good(target: Target, rng: Random) -> bytes:
    """A request that is answered."""
    return request(b"/invocations", bodies.written(target.body(rng)))


def _infer(target: Target) -> bytes:
    return b"/v2/models/%b/infer" % target.name.encode()


def _posted(rng: Random, target: Target, change: Callable[[Random, Any], bytes]) -> bytes:
    """A tree for one of the two protocols, changed."""
    if rng.random() < 0.6:
        return request(b"/invocations", change(rng, target.body(rng)))
    return request(_infer(target), change(rng, target.infer(rng)))


def _text(rng: Random, target: Target, change: Callable[[Random, bytes], bytes]) -> bytes:
    return _posted(rng, target, lambda rng, content: change(rng, bodies.written(content)))


def _elsewhere(rng: Random, target: Target) -> bytes:
    """Good content for somebody else, by any method."""
    body = rng.choice((b"", b"{}", bodies.written(target.body(rng)), bodies.written(target.infer(rng))))
    return request(rng.choice(_PATHS), body, rng.choice((_JSON, b"")), method=rng.choice(_METHODS))


def _headed(rng: Random, target: Target) -> bytes:
    path, content = rng.choice(((b"/invocations", target.body(rng)), (_infer(target), target.infer(rng))))
    return request(path, bodies.written(content), _JSON, *rng.sample(_HEADERS, rng.choice((1, 1, 2, 3))))


def _typed(rng: Random, target: Target) -> bytes:
    body = rng.choice(
        (bodies.written(target.body(rng)), bodies.table(rng, target), b"PAR1" + rng.randbytes(99) + b"PAR1")
    )
    return request(b"/invocations", body, rng.choice(_TYPES))


def _binary(rng: Random, target: Target) -> bytes:
    """Tensors behind their JSON, in bytes that are too few, too many or of something else."""
    content = target.infer(rng)
    for one in content["inputs"]:
        one["parameters"] = {"binary_data_size": rng.choice((0, 1, 8, 16, 48, 2**31, -1, 1.5, "8", None))}
        if rng.random() < 0.9:
            del one["data"]
    text, raw = bodies.written(content), rng.randbytes(rng.choice((0, 1, 8, 16, 48, 5000)))
    length = rng.choice((len(text), len(text), len(text), 0, len(text) + 1, 10**6))
    return request(_infer(target), text + raw, _JSON, b"inference-header-content-length: %d" % length)


def _chunked(rng: Random, target: Target) -> bytes:
    head = b"POST %b HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n" % rng.choice((b"/x", _infer(target)))
    return head + rng.choice(_CHUNKS)


def _lengths(rng: Random, _: Target) -> bytes:
    return b"POST /invocations HTTP/1.1\r\nhost: h\r\n" + rng.choice(_LENGTHS) + b"\r\n\r\nhello" * rng.choice((1, 3))


def _pipelined(rng: Random, target: Target) -> bytes:
    """Good requests with something else among them."""
    first = b"".join(good(target, rng) for _ in range(rng.choice((1, 3, 30))))
    return (
        first + rng.choice((b"garbage\r\n\r\n", b"\0", rng.randbytes(99), *_HEADS[:4], good(target, rng)[:-9])) + first
    )


_SHARE_OF_HTTP: Final = 0.2
_WHOLE: Final[list[tuple[str, Callable[[Random, Target], bytes]]]] = [
    *([("a place", lambda rng, target: _posted(rng, target, bodies.replaced))] * 4),
    ("every place", lambda rng, target: _posted(rng, target, bodies.everywhere)),
    ("a name", lambda rng, target: _posted(rng, target, bodies.renamed)),
    ("bytes", lambda rng, target: _text(rng, target, bodies.flipped)),
    ("cut body", lambda rng, target: _text(rng, target, bodies.cut)),
    ("frame", lambda rng, target: request(b"/invocations", bodies.frame(rng, target))),
    ("params", lambda rng, target: request(b"/invocations", bodies.params(rng, target))),
    ("csv", lambda rng, target: request(b"/invocations", bodies.table(rng, target), b"text/csv")),
    ("tensors", lambda rng, target: request(_infer(target), bodies.tensors(rng, target))),
    ("feedback", lambda rng, _: request(b"/feedback", bodies.labels(rng))),
    ("content type", _typed),
    ("path", _elsewhere),
    ("header", _headed),
    ("binary", _binary),
    ("noise", lambda rng, _: request(b"/invocations", rng.randbytes(rng.choice((0, 1, 10, 5000))))),
    ("token", lambda rng, target: request(rng.choice((b"/invocations", _infer(target))), rng.choice(bodies.NASTY))),
]
_BROKEN: Final[list[tuple[str, Callable[[Random, Target], bytes]]]] = [
    ("head", lambda rng, _: rng.choice(_HEADS) + rng.choice((b"", b"\r\n\r\n"))),
    ("lengths", _lengths),
    ("chunks", _chunked),
    ("pipelined", _pipelined),
    ("cut request", lambda rng, target: bodies.cut(rng, good(target, rng))),
    ("bytes of a request", lambda rng, target: bodies.flipped(rng, good(target, rng))),
    ("noise for a head", lambda rng, _: rng.randbytes(rng.choice((1, 100, 9000)))),
]
