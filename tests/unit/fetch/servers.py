"""Real servers for the helper's tests: HTTP, Git over HTTP by git's own backend, Git over SSH."""

import base64
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, cast

import paramiko
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Answer:
    """What an HTTP server says once; `cut` leaves out bytes that it announced."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    cut: int = 0


@dataclass
class WebServer:
    """Answers by path; the last of several is given again and again."""

    url: str = ""
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str) -> Answer:
        """What comes next."""
        self.asked.append(path)
        ahead = self.answers.get(path, [Answer(404)])
        return ahead.pop(0) if len(ahead) > 1 else ahead[0]


@contextmanager
def web_server() -> Iterator[WebServer]:
    """An HTTP server as long as the block lasts."""
    server = WebServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = server.answer(self.path)
            self.send_response(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body[: len(answer.body) - answer.cut])

        def log_message(self, *_: object) -> None:
            pass

    with _serving(Handler) as server.url:
        yield server


@dataclass
class GitServer:
    """Repositories of a folder, over HTTP."""

    url: str = ""
    # The statuses that the next requests are answered with, before any is answered well.
    unwell: list[int] = field(default_factory=list)
    protocol: int = 2


@contextmanager
def git_server(folder: Path, login: str = "") -> Iterator[GitServer]:
    """Git's own HTTP backend as long as the block lasts; `login` is the user:password that it asks for."""
    server = GitServer()
    expected = f"Basic {base64.b64encode(login.encode()).decode()}" if login else ""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if server.unwell:
                self._refuse(server.unwell.pop(0))
            elif expected and self.headers.get("Authorization") != expected:
                self._refuse(401)
            else:
                self._answer()

        do_POST = do_GET  # noqa: N815 - http.server's name

        def _refuse(self, status: int) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            done = subprocess.run(
                ["git", "http-backend"], input=body, capture_output=True, check=False, env=self._environment()
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
            self.send_response(int(headers.pop("Status", "200").split()[0]))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _environment(self) -> dict[str, str]:
            path, _, query = self.path.partition("?")
            protocol = self.headers.get("Git-Protocol", "") if server.protocol > 1 else ""
            return {
                **os.environ,
                "GIT_PROJECT_ROOT": str(folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "GIT_PROTOCOL": protocol,
            }

        def log_message(self, *_: object) -> None:
            pass

    with _serving(Handler) as server.url:
        yield server


class _Login(paramiko.ServerInterface):
    """Lets one key in, and runs what it asks for in a shell, as sshd does."""

    def __init__(self, allowed: paramiko.PKey) -> None:
        self.allowed = allowed
        self.environment = dict(os.environ)

    def check_channel_request(self, kind: str, chanid: int) -> int:  # noqa: ARG002 - paramiko's names
        return OPEN_SUCCEEDED

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return AUTH_SUCCESSFUL if (username, key) == ("git", self.allowed) else AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:  # noqa: ARG002
        return "publickey"

    def check_channel_env_request(self, channel: paramiko.Channel, name: bytes, value: bytes) -> bool:  # noqa: ARG002
        self.environment[name.decode()] = value.decode()
        return True

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self._run, args=(channel, command)).start()
        return True

    def _run(self, channel: paramiko.Channel, command: bytes) -> None:
        shell = ["sh", "-c", command.decode()]
        pipe = subprocess.PIPE
        with subprocess.Popen(shell, bufsize=0, env=self.environment, stdin=pipe, stdout=pipe, stderr=pipe) as process:
            stdin, stdout, stderr = (cast("IO[bytes]", end) for end in (process.stdin, process.stdout, process.stderr))
            outwards = [
                threading.Thread(target=_pump, args=(stdout.read, channel.sendall)),
                threading.Thread(target=_pump, args=(stderr.read, channel.sendall_stderr)),
            ]
            inwards = threading.Thread(target=_pump, args=(channel.recv, stdin.write))
            for thread in (*outwards, inwards):
                thread.start()
            for thread in outwards:
                thread.join()
            channel.close()
            inwards.join()


def _pump(read: Callable[[int], bytes], write: Callable[[bytes], object]) -> None:
    """From one end to the other until either has enough."""
    with suppress(OSError):
        while data := read(65536):
            write(data)


@contextmanager
def ssh_server(host_key: paramiko.PKey, allowed: paramiko.PKey) -> Iterator[int]:
    """An SSH server as long as the block lasts; its port."""
    transports: list[paramiko.Transport] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                transport = paramiko.Transport(connection)
                transport.add_server_key(host_key)
                transports.append(transport)
                try:
                    transport.start_server(server=_Login(allowed))
                except (paramiko.SSHException, EOFError):
                    transport.close()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for transport in transports:
                transport.close()
