"""The operator's way to the registry, as `Registry`: orders look before they write, in two requests."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from serinus.api import names
from serinus.asks import (
    Absent,
    Answer,
    EndRun,
    EnsureRun,
    EnsureVersion,
    FindModel,
    FindOpenRuns,
    FindRuns,
    FindVersions,
    Known,
    LogInputs,
    ModelDetails,
    ModelVersion,
    Progress,
    QueueRun,
    ReadModel,
    ReadProgress,
    ReadRun,
    RegistryAsk,
    ResolveVersion,
    Run,
    Server,
    SetAlias,
    TagRun,
    TagVersion,
    Trouble,
    TroubleKind,
)
from tests.sim.lines import Wire
from tests.sim.mlflow import Mlflow
from tests.sim.weather import READS, REGISTRY

NO_DETAILS: Final = ModelDetails((), None, None, (), "", None)


class Unreachable(Exception):
    """No answer."""


class RegistryLine:
    """The registry, for one incarnation."""

    def __init__(self, wire: Wire, mlflow: Mlflow) -> None:
        self.wire = wire
        self.mlflow = mlflow

    async def answer(self, server: Server, asks: Sequence[RegistryAsk[Any]]) -> Mapping[RegistryAsk[Any], Answer[Any]]:
        """As the port says."""
        return {ask: await self._answer(server, ask) for ask in asks}

    async def _answer(self, server: Server, ask: RegistryAsk[Any]) -> Answer[Any]:
        try:
            return Known(await self.carry_out(ask), self.wire.stage.time_of_day())
        except Unreachable:
            return Trouble(TroubleKind.UNREACHABLE, f"{server} does not answer")

    async def carry_out(self, ask: RegistryAsk[Any]) -> object:  # noqa: PLR0911 (one line for each ask)
        """What one ask is answered."""
        mlflow = self.mlflow
        match ask:
            case EnsureRun():
                return await self.ensure_run(ask)
            case EnsureVersion():
                return await self.ensure_version(ask)
            case EndRun() | TagRun() | LogInputs() | QueueRun():
                return await self._change_run(ask)
            case SetAlias(model=model, alias=alias, version=version):
                what = f"version {version} of model {model!r}"
                return await self._write("set alias", alias, lambda: mlflow.set_alias(model, alias, version), what)
            case TagVersion(model=model, version=version, tags=tags):
                what = f"version {version} of model {model!r}"
                return await self._write(
                    "tag version", what, lambda: mlflow.tag_version(model, version, dict(tags)), what
                )
            case ResolveVersion(model=model, alias=alias, version=version):
                what = f"alias {alias!r} of model {model!r}" if alias else f"version {version} of model {model!r}"
                return await self._read("resolve", what, lambda: mlflow.resolve(model, alias, version), what)
            case ReadRun(run_id=run):
                return await self._read("read run", run, lambda: mlflow.change_run(run), f"run {run}")
            case FindModel(run_id=run):
                return await self._read("find model", run, lambda: mlflow.logged_model(run), f"model of run {run}")
            case FindRuns() | FindOpenRuns() | FindVersions() | ReadModel() | ReadProgress():
                return await self._find(ask)
            case _:
                raise NotImplementedError(f"the simulated registry knows no {type(ask).__name__}")

    async def _change_run(self, ask: EndRun | TagRun | LogInputs | QueueRun) -> Run | Absent:
        mlflow, run = self.mlflow, ask.run_id
        match ask:
            case EndRun(end=end, tags=tags):
                return await self._write("end run", run, lambda: mlflow.change_run(run, end, dict(tags)), f"run {run}")
            case TagRun(tags=tags):
                return await self._write("tag run", run, lambda: mlflow.change_run(run, None, dict(tags)), f"run {run}")
            case LogInputs(inputs=inputs):
                return await self._write("log inputs", run, lambda: mlflow.log_inputs(run, inputs), f"run {run}")
            case QueueRun():
                return await self._write("queue run", run, lambda: mlflow.queue_run(run), f"run {run}")

    async def ensure_run(self, ask: EnsureRun) -> Run:
        """Look, then write."""
        found = await self.find_run(ask)
        if found is None:
            run = Run("", "", "RUNNING", name=ask.name, params=dict(ask.params), tags=dict(ask.tags))
            make: Callable[[], Run] = lambda: self.mlflow.make_run(ask.experiment, ask.key, run)  # noqa: E731
            found = await self._request("make run", ask.key, make, writes=True)
        return found

    async def find_run(self, ask: EnsureRun) -> Run | None:
        """The run, if it was made before."""
        return await self._request("find run", ask.key, lambda: self.mlflow.find_run(ask.experiment, ask.key))

    async def ensure_version(self, ask: EnsureVersion) -> ModelVersion:
        """Look, then write."""
        found = await self.find_version(ask)
        if found is None:
            version = ModelVersion(
                ask.model,
                "",
                ready=True,
                run_id=ask.run_id,
                source=ask.source,
                model_id=ask.model_id,
                tags={**dict(ask.tags), names.KEY_TAG: ask.key},
            )
            make: Callable[[], ModelVersion] = lambda: self.mlflow.make_version(ask.key, version)  # noqa: E731
            found = await self._request("make version", ask.key, make, writes=True)
        return found

    async def find_version(self, ask: EnsureVersion) -> ModelVersion | None:
        """The version, if it was made before."""
        return await self._request("find version", ask.key, lambda: self.mlflow.find_version(ask.model, ask.key))

    async def _find(self, ask: FindRuns | FindOpenRuns | FindVersions | ReadModel | ReadProgress) -> object:
        match ask:
            case ReadProgress(run_id=run):
                seen: Callable[[], Progress | None] = lambda: _progress(self.mlflow.change_run(run))  # noqa: E731
                return await self._read("read progress", run, seen, f"run {run}")
            case FindOpenRuns():
                return await self._request("find open runs", ask.value, lambda: self._open_runs(ask))
            case FindRuns():
                return await self._request("find runs", ask.value, lambda: self._runs(ask))
            case FindVersions():
                return await self._request("find versions", ask.value, lambda: self._versions(ask))
            case ReadModel():
                there_is = (ask.model, ask.version) in self.mlflow.versions
                what = f"version {ask.version} of model {ask.model!r}"
                return await self._read("read model", what, lambda: NO_DETAILS if there_is else None, what)

    def _runs(self, ask: FindRuns) -> tuple[Run, ...]:
        number = self.mlflow.experiments.get(ask.experiment)
        there = (one for one in reversed(self.mlflow.runs.values()) if one.id not in self.mlflow.deleted)
        return tuple(one for one in there if one.experiment_id == number and one.tags.get(ask.tag) == ask.value)

    def _open_runs(self, ask: FindOpenRuns) -> tuple[Run, ...]:
        there = (one for one in self.mlflow.runs.values() if one.id not in self.mlflow.deleted)
        return tuple(
            one for one in there if one.status in {"RUNNING", "SCHEDULED"} and one.tags.get(ask.tag) == ask.value
        )

    def _versions(self, ask: FindVersions) -> tuple[ModelVersion, ...]:
        there = (one for (model, _), one in reversed(self.mlflow.versions.items()) if model == ask.model)
        return tuple(one for one in there if one.tags.get(ask.tag) == ask.value)

    async def _read[T](self, what: str, about: str, effect: Callable[[], T | None], absent: str) -> T | Absent:
        found = await self._request(what, about, effect)
        return Absent(absent) if found is None else found

    async def _write[T](self, what: str, about: str, effect: Callable[[], T | None], absent: str) -> T | Absent:
        done = await self._request(what, about, effect, writes=True)
        return Absent(absent) if done is None else done

    async def _request[T](self, what: str, about: str, effect: Callable[[], T], *, writes: bool = False) -> T:
        faults = REGISTRY if writes else READS
        return await self.wire.request("mlflow", what, about, effect, faults=faults, lost=Unreachable())


def _progress(run: Run | None) -> Progress | None:
    """As far as a run of this world is: it logs at its end, and counts no steps."""
    return None if run is None else Progress(run.metrics)
