"""`python -m tests.cluster VERB`: the local Kubernetes at the command line."""

import argparse
import os
import shlex
import sys
import time
from pathlib import Path

from tests.cluster import cluster, containers, external, health, images, processes, settings
from tests.cluster.errors import ClusterError
from tests.cluster.layout import Profile
from tests.cluster.settings import Settings

STARTED = time.monotonic()


def say(text: str) -> None:
    """One line for the person who waits, with the time that has passed."""
    print(f"[{time.monotonic() - STARTED:5.0f} s] {text}", file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    """Do what was asked; 0 where it worked."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(settings.read(os.environ, name=options.name), options) or 0)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: what was begun goes on or is cleaned up with `make cluster-down`", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("--name", default="dev", help="which cluster of this checkout (default: dev)")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    up = verbs.add_parser("up", help="start the cluster, or find it running")
    up.add_argument("--profile", type=Profile, choices=list(Profile), default=Profile.FULL)
    up.add_argument("--kwok-nodes", type=int, default=0, help="with --profile kwok: how many nodes pretend")
    up.set_defaults(run=_up)
    verbs.add_parser("down", help="remove the cluster and all that belongs to it").set_defaults(run=_down)
    verbs.add_parser("clean", help="remove this checkout's clusters and the cache").set_defaults(run=_clean)
    verbs.add_parser("status", help="say how each part does; 0 where all is well").set_defaults(run=_status)
    logs = verbs.add_parser("logs", help="print the log of a part, or the end of every part's")
    logs.add_argument("part", nargs="?")
    logs.set_defaults(run=_logs)
    load = verbs.add_parser("load-image", help="bring images onto the node: ours by name, others as archives")
    load.add_argument("image", nargs="+", help=f"one of {', '.join(images.IMAGES)}, or a docker or OCI archive")
    load.set_defaults(run=_load_image)
    verbs.add_parser("kubeconfig", help="print the path of the kubeconfig").set_defaults(run=_kubeconfig)
    verbs.add_parser("env", help='for eval "$(…)": KUBECONFIG, and kubectl and helm on PATH').set_defaults(run=_env)
    build = verbs.add_parser("images", help="build the images, all or some")
    build.add_argument("image", nargs="*", help=f"some of {', '.join(images.IMAGES)}; all where none is named")
    build.set_defaults(run=_images)
    return parser


def _up(chosen: Settings, options: argparse.Namespace) -> None:
    if chosen.external:
        say(f"using your cluster: {external.find()('config', 'current-context').strip()}")
        return
    started = cluster.up(chosen, options.profile, say, kwok_nodes=options.kwok_nodes)
    say(f"kubeconfig: {started.layout.kubeconfig}")


def _down(chosen: Settings, _: argparse.Namespace) -> None:
    if chosen.external:
        say("CLUSTER=kubeconfig: your cluster stays as it is")
        return
    cluster.down(chosen, say)


def _clean(chosen: Settings, _: argparse.Namespace) -> None:
    cluster.clean(chosen, say)


def _status(chosen: Settings, _: argparse.Namespace) -> int:
    if chosen.external:
        print(external.find()("get", "nodes", "-o", "wide"))
        return 0
    running = cluster.find(chosen)
    layout = running.layout
    print(f"cluster {chosen.name} ({layout.profile}), {layout.server}, process {processes.supervisor(layout.state)}")
    for part in health.parts(layout.state):
        print(
            f"  {part.name:<24} {part.word:<8} {part.restarts} restarts{part.last_exit and f', last {part.last_exit}'}"
        )
    well = all(part.pid for part in health.parts(layout.state))
    if layout.profile is Profile.FULL:
        ready = cluster.node_ready(running)
        well = well and ready
        print(f"node {'Ready' if ready else 'NOT ready'}, network {layout.addresses.network}")
    if not well:
        print(f"{health.troubles(layout.state)}\n  → `make cluster-down cluster-up` starts it anew", file=sys.stderr)
    return 0 if well else 1


def _logs(chosen: Settings, options: argparse.Namespace) -> None:
    folder = chosen.state / "logs"
    known = sorted(path.stem for path in folder.glob("*.log"))
    if options.part is None:
        for part in known:
            print(f"== {part}\n{health.last_lines(folder / f'{part}.log')}")
    elif options.part in known:
        print((folder / f"{options.part}.log").read_text(errors="replace"))
    else:
        raise ClusterError(
            f"no part {options.part!r} has a log", remedy=f"choose one of: {', '.join(known) or 'none yet'}"
        )


def _load_image(chosen: Settings, options: argparse.Namespace) -> None:
    running = cluster.find(chosen)
    built = images.build([name for name in options.image if name in images.IMAGES], chosen.cache, say)
    for one in built.values():
        containers.load_missing(running.layout, one.archive, one.reference, say)
        print(one.reference)
    for archive in (Path(name) for name in options.image if name not in images.IMAGES):
        if not archive.is_file():
            raise ClusterError(
                f"{archive} is neither an image of ours nor a file",
                remedy=f"name one of {', '.join(images.IMAGES)}, or an archive of `docker save`",
            )
        containers.load(running.layout, archive)


def _kubeconfig(chosen: Settings, _: argparse.Namespace) -> None:
    print(cluster.find(chosen).layout.kubeconfig)


def _env(chosen: Settings, _: argparse.Namespace) -> None:
    layout = cluster.find(chosen).layout
    folders = ":".join(str(layout.binaries[module]) for module in ("kubernetes", "helm") if module in layout.binaries)
    print(f"export KUBECONFIG={shlex.quote(str(layout.kubeconfig))} PATH={shlex.quote(folders)}:$PATH")


def _images(chosen: Settings, options: argparse.Namespace) -> None:
    for built in images.build(options.image or list(images.IMAGES), chosen.cache, say).values():
        print(f"{built.reference:<40} {built.size_bytes / 1024**2:7.0f} MiB  {built.archive}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
