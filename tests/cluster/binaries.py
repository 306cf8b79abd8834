"""The cluster's programs, compiled from the Go modules under build/ and kept in the cache."""

import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster import prerequisites
from tests.cluster.errors import ClusterError
from tests.cluster.locks import exclusive

SOURCES = Path(__file__).parent / "build"
KUBERNETES_VERSION = "v1.36.3"
HEARTBEAT_SECONDS = 30
LOG_TAIL = 15
KWOK_STAGES = tuple(f"kustomize/stage/{stage}" for stage in ("node/fast", "node/heartbeat-with-lease", "pod/fast"))


@dataclass(frozen=True)
class Module:
    """One Go module under build/: its tools are built together."""

    name: str
    minutes: float  # the first time, on two cores: so that a person knows how long to wait
    variables: Mapping[str, str] = field(default_factory=dict)
    tags: str = ""
    cgo: bool = False
    tools: bool = True
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # Go module → files and folders of it to keep


_VERSION = "k8s.io/component-base/version"
_MAJOR, _MINOR = KUBERNETES_VERSION[1:].split(".")[:2]
MODULES = {
    module.name: module
    for module in (
        Module(
            "kubernetes",
            minutes=6,
            variables={
                f"{_VERSION}.gitVersion": KUBERNETES_VERSION,
                f"{_VERSION}.gitMajor": _MAJOR,
                f"{_VERSION}.gitMinor": _MINOR,
            },
        ),
        Module("etcd", minutes=1),
        Module("containerd", minutes=1),
        Module("runc", minutes=0.5, tags="seccomp", cgo=True),
        Module("coredns", minutes=2),
        Module("provisioner", minutes=1),
        Module("pause", minutes=0.1),
        Module("metrics-server", minutes=2),
        Module(
            "helm",
            minutes=1,
            # The Kubernetes that `helm template` renders for where it asks no cluster.
            variables={
                f"helm.sh/helm/v3/pkg/{package}.k8sVersion{part}": number
                for package in ("chartutil", "lint/rules")
                for part, number in (("Major", _MAJOR), ("Minor", _MINOR))
            },
        ),
        Module("kwok", minutes=1, files={"sigs.k8s.io/kwok": KWOK_STAGES}),
        Module("versitygw", minutes=1),
        Module(
            "gateway-api",
            minutes=0.1,
            tools=False,
            files={"sigs.k8s.io/gateway-api": ("config/crd/standard",)},
        ),
    )
}


def key(module: Module, go_version: str) -> str:
    """What a build depends on: the module's files, how it is built, and the compiler."""
    digest = hashlib.sha256(f"{module}{go_version}".encode())
    for path in sorted(p for p in (SOURCES / module.name).iterdir() if p.is_file()):
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def build(names: Iterable[str], cache: Path, say: Callable[[str], None]) -> dict[str, Path]:
    """The folder of each module's programs, built first where the cache has none."""
    wanted = [MODULES[name] for name in names]
    prerequisites.require_go()
    version = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout.strip()
    folders = {module.name: cache / "bin" / f"{module.name}-{key(module, version)}" for module in wanted}
    if all(folder.is_dir() for folder in folders.values()):
        return folders
    prerequisites.require_disk(cache)
    if "runc" in folders:
        prerequisites.require_programs(prerequisites.BUILD_PROGRAMS, say)
    with exclusive(cache / "bin" / ".lock", lambda: say("another build is running on this machine: waiting for it")):
        _build_missing(wanted, folders, say)
    return folders


def _build_missing(wanted: list[Module], folders: Mapping[str, Path], say: Callable[[str], None]) -> None:
    missing = [module for module in wanted if not folders[module.name].is_dir()]
    minutes = sum(module.minutes for module in missing)
    if missing:
        say(f"compiling {len(missing)} parts of the cluster, once: about {minutes:.0f} min on 2 cores")
    for number, module in enumerate(missing, 1):
        say(f"[{number}/{len(missing)}] {module.name} (about {module.minutes:g} min)")
        started = time.monotonic()
        _build_one(module, folders[module.name], say)
        say(f"[{number}/{len(missing)}] {module.name}: done in {time.monotonic() - started:.0f} s")


def _build_one(module: Module, folder: Path, say: Callable[[str], None]) -> None:
    """Build into a folder beside the final one and rename: a killed build leaves nothing that looks done."""
    temporary = Path(tempfile.mkdtemp(prefix=f".{module.name}-", dir=folder.parent))
    try:
        if module.tools:
            with _heartbeat(module.name, say):
                _go(module, ["build", *_flags(module), "-o", f"{temporary}/", "tool"], folder.parent)
        for name, paths in module.files.items():
            _go(module, ["mod", "download", name], folder.parent)
            source = Path(_go(module, ["list", "-m", "-f", "{{.Dir}}", name], folder.parent).strip())
            for path in paths:
                shutil.copytree(source / path, temporary / path, copy_function=shutil.copyfile)
        temporary.chmod(0o755)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _flags(module: Module) -> list[str]:
    variables = [f"-X {name}={value}" for name, value in module.variables.items()]
    return [
        "-trimpath",
        "-buildvcs=false",
        f"-tags={module.tags}",
        f"-ldflags={' '.join(['-s', '-w', *variables])}",
    ]


def _go(module: Module, arguments: list[str], logs: Path) -> str:
    """What a go command printed, or a ClusterError with the end of its log."""
    done = subprocess.run(
        ["go", *arguments],
        cwd=SOURCES / module.name,
        env={**os.environ, "CGO_ENABLED": str(int(module.cgo)), "GOFLAGS": "-mod=readonly"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        log = logs / f"{module.name}.log"
        log.write_text(done.stderr)
        tail = "\n".join(done.stderr.splitlines()[-LOG_TAIL:])
        raise ClusterError(f"building {module.name} failed:\n{tail}", remedy=f"the whole log is in {log}")
    return done.stdout


class _heartbeat:  # noqa: N801 (used as a function is: `with _heartbeat(…)`)
    """Says that a long build is still alive."""

    def __init__(self, what: str, say: Callable[[str], None]) -> None:
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, args=(what, say), daemon=True)

    def _beat(self, what: str, say: Callable[[str], None]) -> None:
        started = time.monotonic()
        while not self._done.wait(HEARTBEAT_SECONDS):
            say(f"      {what}: still compiling, {time.monotonic() - started:.0f} s")

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
