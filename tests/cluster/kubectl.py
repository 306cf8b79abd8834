"""kubectl, with errors that a person can read."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.errors import ClusterError


@dataclass(frozen=True)
class Kubectl:
    """One program and the cluster that it talks to (an empty kubeconfig: whichever the environment names)."""

    program: str
    kubeconfig: Path | None

    def try_(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run it and give back whatever came of it."""
        config = [f"--kubeconfig={self.kubeconfig}"] if self.kubeconfig else []
        command = [self.program, *config, *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """What it printed; a ClusterError with its words where it failed."""
        done = self.try_(*arguments, stdin=stdin)
        if done.returncode != 0:
            raise ClusterError(
                f"`kubectl {' '.join(arguments)}` failed: {done.stderr.strip() or done.stdout.strip()}",
                remedy="`make cluster-status` says how the cluster does",
            )
        return done.stdout

    def get(self, *arguments: str) -> Any:  # noqa: ANN401 (whatever the API server answers)
        """The parsed answer of `kubectl get`."""
        return json.loads(self("get", *arguments, "-o", "json"))

    def apply(self, text: str) -> None:
        """Apply manifests server-side: doing it twice is doing it once."""
        self(
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager=local-cluster",
            "-f",
            "-",
            stdin=text,
        )


def on_path() -> str:
    """The kubectl that the user has."""
    program = shutil.which("kubectl")
    if program is None:
        raise ClusterError(
            "kubectl is not on PATH", remedy="install it, or leave CLUSTER out to use a cluster of our own"
        )
    return program
