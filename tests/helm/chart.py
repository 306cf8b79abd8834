"""The chart as Helm renders it."""

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
CHART = CHECKOUT / "helm" / "serinus"
# The value sets whose rendering is kept under snapshots/.
CASES = sorted((HERE / "values").glob("*.yaml"))

type Manifest = dict[str, Any]


@dataclass(frozen=True)
class Helm:
    """A real helm, asked about our chart only."""

    program: Path

    def lint(self, values: Path) -> subprocess.CompletedProcess[str]:
        """`helm lint --strict`."""
        return self._run("lint", "--strict", str(CHART), f"--values={values}")

    def template(
        self, values: Mapping[str, Any] | None = None, *, apis: Iterable[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        """`helm template` with these values, in a cluster that serves these APIs beside the built-in ones."""
        served = [f"--api-versions={api}" for api in apis]
        # Helm assumes the version of the client library it was built with, which may be any.
        where = ["--namespace=serinus", "--kube-version=1.36.0", "--values=-"]
        return self._run("template", "serinus", str(CHART), *where, *served, stdin=json.dumps(values or {}))

    def text(self, values: Mapping[str, Any] | None = None) -> str:
        """What is rendered from values that must be right."""
        done = self.template(values)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def manifests(self, values: Mapping[str, Any] | None = None) -> list[Manifest]:
        """The objects rendered from values that must be right."""
        return [manifest for manifest in yaml.safe_load_all(self.text(values)) if manifest]

    def error(self, values: Mapping[str, Any], *, apis: Iterable[str] = ()) -> str:
        """What helm says about values that must be wrong."""
        done = self.template(values, apis=apis)
        assert done.returncode != 0, "helm accepted these values"
        return done.stderr

    def _run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(self.program), *arguments], input=stdin, capture_output=True, text=True, check=False)


def load(case: Path) -> Manifest:
    """The values of a case."""
    values = yaml.safe_load(case.read_text())
    assert isinstance(values, dict)
    return values


def of_kind(manifests: Iterable[Manifest], kind: str) -> list[Manifest]:
    """Those of one kind."""
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def pod_specs(manifests: Iterable[Manifest]) -> dict[str, Manifest]:
    """The spec of each pod that the manifests lead to, by "Kind/name"."""
    specs = {}
    for manifest in manifests:
        spec = manifest.get("spec", {})
        pod = spec if manifest["kind"] == "Pod" else spec.get("template", {}).get("spec")
        if pod:
            specs[f"{manifest['kind']}/{manifest['metadata']['name']}"] = pod
    return specs
