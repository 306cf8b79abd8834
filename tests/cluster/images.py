"""The images that run in a cluster, built from their Dockerfiles where there is no container engine.

An image is known by what goes into it: its tag is a hash of its Dockerfile, its context and the images below it, so the
same checkout always finds the same archive in the cache, and a changed one never finds an old one. Buildah builds, in
namespaces of its own and with its storage in the cache: when it ends, even killed, its mounts and processes are gone.
"""

import hashlib
import json
import math
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster import prerequisites
from tests.cluster.errors import ClusterError
from tests.cluster.locks import exclusive
from tests.cluster.settings import CHECKOUT

Say = Callable[[str], None]

# What an RUN step trusts: this machine's authorities, mounted while it runs, so that none of them ends in an image.
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
LOG_TAIL = 30
TAG_LENGTH = 12
# What tools leave in a checkout.
LITTER = frozenset({"__pycache__", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache"})
# The first process dies with us, the others with the first, and the mounts with the last.
CONTAINED = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
)
# No mirror is named: mmdebstrap knows Debian's. It copies this machine's name in, which is nobody's business, and makes
# devices, which every container gets anyway and which not everybody may unpack.
DEBIAN = (
    *("mmdebstrap", "--variant=extract", "--skip=output/dev"),
    '--extract-hook=rm "$1/etc/hostname" "$1/etc/resolv.conf"',
)
SUITE = "trixie"


@dataclass(frozen=True)
class Image:
    """An image's name, what it is made of, and how long the first build takes on 2 cores."""

    name: str
    context: Path
    dockerfile: Path
    needs: tuple[str, ...] = ("base",)
    minutes: float = 1


@dataclass(frozen=True)
class Built:
    """An image in the cache: the reference that pods use, and the archive to load it from."""

    name: str
    reference: str
    archive: Path
    size_bytes: int


def _image(name: str, minutes: float, *, context: str = "", needs: tuple[str, ...] = ("base",)) -> Image:
    folder = CHECKOUT / "images" / name
    return Image(name, CHECKOUT / context if context else folder, folder / "Dockerfile", needs, minutes)


IMAGES = {
    image.name: image
    for image in (
        _image("base", 0.5, needs=()),
        _image("gateway", 0.5),
        _image("mlflow", 1),
        _image("operator", 0.5, context="operator"),
        _image("server", 1.5),
        _image("trainer", 1.5),
    )
}


def key(image: Image) -> str:
    """What an image depends on, as a hash: its Dockerfile, its context, the images below it."""
    digest = hashlib.sha256(image.name.encode() + image.dockerfile.read_bytes())
    for path in _inputs(image.context):
        digest.update(f"\0{path.relative_to(image.context)}\0{os.access(path, os.X_OK)}\0".encode() + path.read_bytes())
    for below in image.needs:
        digest.update(key(IMAGES[below]).encode())
    if not image.needs:
        digest.update("\0".join((*DEBIAN, SUITE)).encode())
    return digest.hexdigest()


def reference(image: Image) -> str:
    """The name and tag under which a pod asks for an image."""
    return f"serinus/{image.name}:{key(image)[:TAG_LENGTH]}"


def _inputs(context: Path) -> list[Path]:
    paths = (path for path in context.rglob("*") if path.is_file())
    return sorted(path for path in paths if not LITTER.intersection(path.relative_to(context).parts))


def build(names: Iterable[str], cache: Path, say: Say) -> dict[str, Built]:
    """The images by name, built first where the cache has no archive of them."""
    wanted = {name: _known(name) for name in names}
    archives = {name: _archive(image, cache) for name, image in wanted.items()}
    if not all(archive.exists() for archive in archives.values()):
        _require(cache, say)
        with _buildah(cache, say) as buildah:
            missing = [image for name, image in wanted.items() if not archives[name].exists()]
            _build_all(missing, buildah, say)
        prune(cache)
    return {name: _found(image, archives[name]) for name, image in wanted.items()}


def _known(name: str) -> Image:
    if name not in IMAGES:
        raise ClusterError(f"there is no image {name!r}", remedy=f"choose from {', '.join(IMAGES)}")
    return IMAGES[name]


def _archive(image: Image, cache: Path) -> Path:
    return cache / "images" / f"{image.name}-{key(image)[:TAG_LENGTH]}.tar"


def _found(image: Image, archive: Path) -> Built:
    archive.touch()  # prune() goes by when an archive was last asked for
    tag = archive.stem.removeprefix(f"{image.name}-")
    return Built(image.name, f"serinus/{image.name}:{tag}", archive, archive.stat().st_size)


def _require(cache: Path, say: Say) -> None:
    """What a build needs of the machine, looked at before anything is done."""
    if os.geteuid() != 0:
        raise ClusterError(
            "building images without a container engine needs root",
            remedy="run it as root, or build them with docker as docs/images.md says",
        )
    prerequisites.require_disk(cache)
    prerequisites.require_programs(prerequisites.IMAGE_PROGRAMS, say)


def _build_all(missing: Sequence[Image], buildah: "_Buildah", say: Say) -> None:
    if missing:
        minutes = math.ceil(sum(image.minutes for image in missing))
        names = ", ".join(image.name for image in missing)
        say(f"building {names}: about {minutes} min on 2 cores; the next start finds them")
    for number, image in enumerate(missing, 1):
        step = f"[{number}/{len(missing)}]"
        say(f"{step} {reference(image)} is not in {buildah.cache / 'images'}: building it")
        started = time.monotonic()
        archive = _build_one(image, buildah)
        say(f"{step} {image.name}: {archive.stat().st_size / 1e6:.0f} MB in {time.monotonic() - started:.0f} s")


def _build_one(image: Image, buildah: "_Buildah") -> Path:
    """Build an image and write its archive beside its final place, then rename: what has the name is whole."""
    archive = _archive(image, buildah.cache)
    tag = reference(image)
    buildah.start_log(image.name)
    if image.needs:
        _build_upon_base(image, tag, buildah)
    else:
        _build_base(image, tag, buildah)
    partial = archive.with_suffix(".partial")
    buildah.run("push", "--quiet", f"localhost/{tag}", f"docker-archive:{partial}:{tag}")
    if _archive(image, buildah.cache) != archive:
        partial.unlink()
        raise ClusterError(f"the files of image {image.name} changed while it was built", remedy="build it again")
    return partial.rename(archive)


def _build_upon_base(image: Image, tag: str, buildah: "_Buildah") -> None:
    base = reference(IMAGES["base"])
    if not buildah.has(base):
        _build_base(IMAGES["base"], base, buildah)
    trust = ["--volume", f"{CA_BUNDLE}:{CA_BUNDLE}:ro"] if CA_BUNDLE.exists() else []
    below = ["--build-arg", f"BASE_IMAGE=localhost/{base}", "--build-arg", f"BUILD_IMAGE=localhost/{_tools(base)}"]
    buildah.build(tag, image.dockerfile, image.context, *trust, *below)


def _build_base(image: Image, tag: str, buildah: "_Buildah") -> None:
    """Unpack Debian's packages, then make of them the base and, with what builds need, the base of build stages."""
    folder = buildah.storage / "base"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(image.context, folder)
    packages = ",".join((folder / "packages").read_text().split())
    buildah.contained(*DEBIAN, f"--include={packages}", SUITE, str(folder / "rootfs.tar"), scratch=folder)
    buildah.build(_tools(tag), image.dockerfile, folder, "--target", "build")
    buildah.build(tag, image.dockerfile, folder)
    shutil.rmtree(folder)


def _tools(base: str) -> str:
    return base.replace("serinus/base:", "serinus/base-build:")


@contextmanager
def _buildah(cache: Path, say: Say) -> Iterator["_Buildah"]:
    """Buildah for us alone, rid of what a killed build left."""
    with exclusive(cache / "images" / ".lock", lambda: say("someone else is building images: waiting")):
        buildah = _Buildah(cache)
        buildah.tidy()
        yield buildah


@dataclass
class _Buildah:
    """Buildah with its storage in the cache, and a log of what it says."""

    cache: Path
    log: Path = field(init=False)

    @property
    def storage(self) -> Path:
        return self.cache / "buildah"

    def tidy(self) -> None:
        """Remove what a killed build left: state of mounts that are gone, halves of files, working containers."""
        (self.storage / "tmp").mkdir(parents=True, exist_ok=True)
        for left in (self.storage / "run", *(self.storage / "tmp").glob("buildah[0-9]*")):
            shutil.rmtree(left, ignore_errors=True)
        for half in (self.cache / "images").glob("*.partial"):
            half.unlink()
        self.start_log("buildah")
        self.run("rm", "--all")

    def start_log(self, name: str) -> None:
        """What follows goes to this log."""
        self.log = self.cache / "images" / f"{name}.log"
        self.log.write_text("")

    def has(self, tag: str) -> bool:
        """Whether an image is in the storage."""
        command = [*CONTAINED, *self._command("inspect", "--type=image", f"localhost/{tag}")]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def build(self, tag: str, dockerfile: Path, context: Path, *options: str) -> None:
        """Build a Dockerfile; its steps run under chroot, which works inside of containers too."""
        fixed = ("--isolation=chroot", "--layers", "--pull-never", "-t", f"localhost/{tag}", "-f", str(dockerfile))
        self.run("build", *fixed, *options, str(context))

    def run(self, *arguments: str) -> None:
        """One buildah command; a ClusterError with the end of the log if it fails."""
        self.contained(*self._command(*arguments), scratch=self.storage / "tmp")

    def contained(self, *command: str, scratch: Path) -> None:
        """Run a command in namespaces of its own, its temporary files (and buildah's cache mounts) in `scratch`."""
        environment = {**os.environ, "TMPDIR": str(scratch)}
        with self.log.open("a") as log:
            done = subprocess.run([*CONTAINED, *command], env=environment, stdout=log, stderr=log, check=False)
        if done.returncode != 0:
            raise self._failure(command[0])

    def _command(self, *arguments: str) -> list[str]:
        storage = self.storage
        places = ["--root", str(storage / "root"), "--runroot", str(storage / "run"), "--storage-driver=overlay"]
        return ["buildah", *places, *arguments]

    def _failure(self, program: str) -> ClusterError:
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_TAIL:])
        full = "no space left" in tail.lower()
        advice = f"free some space where {self.cache} lies; " if full else ""
        return ClusterError(f"{program} failed:\n{tail}", remedy=f"{advice}the whole log is in {self.log}")


def layers(built: Built) -> list[int]:
    """The sizes of an image's layers in bytes, from the lowest; images on the same base share the first."""
    with tarfile.open(built.archive) as archive:
        manifest = archive.extractfile("manifest.json")
        if manifest is None:
            raise ClusterError(f"{built.archive} is not an image", remedy="remove it and build again")
        return [archive.getmember(name).size for name in json.load(manifest)[0]["Layers"]]


PLAIN = "http://"  # asked for in so many words: a registry without TLS is nothing to slip into


def push(built: Built, registry: str, say: Say = print) -> str:
    """Bring an image to a registry, without TLS if it begins with http://; returns how a cluster asks for it."""
    target = f"{registry.removeprefix(PLAIN)}/{built.reference.removeprefix('serinus/')}"
    cache = built.archive.parents[1]
    _require(cache, say)
    with _buildah(cache, say) as buildah:
        buildah.start_log(f"push-{built.name}")
        buildah.run("pull", "--quiet", f"docker-archive:{built.archive}")
        buildah.run(
            "push",
            "--quiet",
            *["--tls-verify=false"][: registry.startswith(PLAIN)],
            built.reference,
            f"docker://{target}",
        )
    return target


def kind_load(built: Built, cluster: str) -> None:
    """Bring an image onto the nodes of a kind cluster."""
    if shutil.which("kind") is None:
        raise ClusterError(
            f"the cluster {cluster} is kind's, and there is no `kind` on PATH to load {built.name} with",
            remedy="install kind, or name a registry that it can pull from: IMAGE_REGISTRY",
        )
    command = ["kind", "load", "image-archive", str(built.archive), "--name", cluster]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(
            f"`{' '.join(command)}` failed: {done.stderr.strip()[-500:]}",
            remedy="see that `kind get clusters` lists it, or push to a registry: IMAGE_REGISTRY",
        )


def prune(cache: Path, days: float = 14) -> list[Path]:
    """Remove the archives that nobody asked for in so many days, and the build storage they came from."""
    before = time.time() - days * 86400
    with exclusive(cache / "images" / ".lock"):
        old = [archive for archive in (cache / "images").glob("*.tar") if archive.stat().st_mtime < before]
        for archive in old:
            archive.unlink()
        if old:
            shutil.rmtree(cache / "buildah" / "root", ignore_errors=True)
    return old
