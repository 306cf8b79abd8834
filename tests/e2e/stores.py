"""Stores that a company would have, on this machine: a real PostgreSQL and a real S3 server, where pods reach them."""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import binaries, prerequisites, processes
from tests.cluster.settings import Settings

SOON = 30.0
POSTGRES = Path("/usr/lib/postgresql/15/bin")
POSTGRES_PORT = 55432
S3_PORT = 57070


@dataclass(frozen=True)
class Postgres:
    """A database server with one user and one database."""

    uri: str

    def rows(self, query: str) -> list[str]:
        """What a query answers, a line for each row."""
        done = subprocess.run(["psql", self.uri, "-At", "-c", query], capture_output=True, text=True, check=True)
        return done.stdout.splitlines()


@dataclass(frozen=True)
class S3:
    """An S3 server with one bucket, whose objects are files in a folder."""

    endpoint: str
    access_key: str
    secret_key: str
    bucket: str
    folder: Path


@contextmanager
def postgres(host: str) -> Iterator[Postgres]:
    """A PostgreSQL that listens at `host`, and is gone with its data afterwards."""
    prerequisites.require_programs({str(POSTGRES / "postgres"): "postgresql-15", "psql": "postgresql-client"}, print)
    folder, password = Path(tempfile.mkdtemp(prefix="serinus-postgres-")), secrets.token_hex(8)
    (folder / "password").write_text(password)
    shutil.chown(folder, "postgres")
    shutil.chown(folder / "password", "postgres")
    data = folder / "data"
    _as_postgres(POSTGRES / "initdb", "-D", data, "-U", "mlflow", f"--pwfile={folder}/password", "-A", "scram-sha-256")
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write("host all all 0.0.0.0/0 scram-sha-256\n")
    options = ["-h", host, "-p", str(POSTGRES_PORT), "-k", str(folder)]
    with _serving([*AS_POSTGRES, POSTGRES / "postgres", "-D", data, *options], folder / "log", host, POSTGRES_PORT):
        yield Postgres(f"postgresql://mlflow:{password}@{host}:{POSTGRES_PORT}/postgres")
    shutil.rmtree(folder)


@contextmanager
def s3(host: str, settings: Settings) -> Iterator[S3]:
    """An S3 server that listens at `host`, and is gone with its objects afterwards."""
    program = binaries.build(["versitygw"], settings.cache, print)["versitygw"] / "versitygw"
    folder = Path(tempfile.mkdtemp(prefix="serinus-s3-"))
    (folder / "objects" / "models").mkdir(parents=True)
    access, secret = secrets.token_hex(8), secrets.token_hex(16)
    command: list[str | Path] = [program, "--port", f"{host}:{S3_PORT}", "posix", folder / "objects"]
    with _serving(command, folder / "log", host, S3_PORT, ROOT_ACCESS_KEY=access, ROOT_SECRET_KEY=secret):
        yield S3(f"http://{host}:{S3_PORT}", access, secret, "models", folder / "objects" / "models")
    shutil.rmtree(folder)


AS_POSTGRES = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--pdeathsig=TERM")


def _as_postgres(*command: str | Path) -> None:
    subprocess.run([*AS_POSTGRES, *command], check=True, capture_output=True, cwd="/")


@contextmanager
def _serving(command: list[str | Path], log: Path, host: str, port: int, **environment: str) -> Iterator[None]:
    """Run a server as long as the block lasts; it has its port when the block begins."""
    with log.open("w") as output:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=output, stderr=output, cwd="/")
    try:
        assert processes.wait_until(lambda: listens(host, port), SOON), log.read_text()
        yield
    finally:
        process.terminate()
        process.wait()


def listens(host: str, port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0
