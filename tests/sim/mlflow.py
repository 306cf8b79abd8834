"""What a registry holds: experiments, runs, models, versions and aliases; one server for all."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from serinus.asks import Dataset, LoggedModel, ModelVersion, Run, RunStatus
from tests.sim.server import START
from tests.sim.stage import Stage

# What training comes to: one depth is good enough for every gate, the other for none with a minimum.
GOOD: Final = 0.9
BAD: Final = 0.7


@dataclass
class Mlflow:
    """The state of the server. Requests on it are atomic, but two requests are two."""

    stage: Stage
    experiments: dict[str, str] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    run_keys: dict[str, str] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    inputs: dict[str, tuple[Dataset, ...]] = field(default_factory=dict)
    versions: dict[tuple[str, str], ModelVersion] = field(default_factory=dict)
    version_keys: dict[tuple[str, str], str] = field(default_factory=dict)
    aliases: dict[tuple[str, str], str] = field(default_factory=dict)
    listeners: list[Callable[[str], None]] = field(default_factory=list)
    # Runs that were FINISHED at any time.
    once_finished: set[str] = field(default_factory=set)
    # How often something has changed.
    changes: int = 0

    # --- experiments and runs

    def experiment(self, name: str) -> str:
        """The id of an experiment, made if it is missing."""
        return self.experiments.setdefault(name, str(len(self.experiments) + 1))

    def find_run(self, experiment: str, key: str) -> Run | None:
        """The oldest run with this key."""
        number = self.experiments.get(experiment)
        found = (run for run in self.runs.values() if self.run_keys.get(run.id) == key and run.id not in self.deleted)
        return next((run for run in found if run.experiment_id == number), None)

    def make_run(self, experiment: str, key: str, run: Run) -> Run:
        """A new run, whether there is one with this key or not."""
        made = replace(run, id=f"run-{len(self.runs) + 1}", experiment_id=self.experiment(experiment))
        self.runs[made.id] = made
        self.run_keys[made.id] = key
        self._tell(f"made {made.id} with key {key}")
        return made

    def change_run(
        self, run_id: str, status: RunStatus | None = None, tags: dict[str, str] | None = None
    ) -> Run | None:
        """A run with another status and more tags."""
        run = self.runs.get(run_id)
        if run is None or run_id in self.deleted:
            return None
        changed = replace(run, status=status or run.status, tags={**run.tags, **(tags or {})})
        if changed != run:
            self.runs[run_id] = changed
            if changed.status == "FINISHED":
                self.once_finished.add(run_id)
            self._tell(f"{run_id} is {changed.status}")
        return changed

    def queue_run(self, run_id: str) -> Run | None:
        """A run that waits for a place, unless it is over."""
        run = self.change_run(run_id)
        return self.change_run(run_id, "SCHEDULED") if run is not None and run.status == "RUNNING" else run

    def log_inputs(self, run_id: str, inputs: tuple[Dataset, ...]) -> Run | None:
        """A run with more inputs, each of which is there once."""
        run = self.change_run(run_id)
        if run is not None:
            self.inputs[run_id] = tuple(dict.fromkeys((*self.inputs.get(run_id, ()), *inputs)))
        return run

    def keys(self) -> Counter[str]:
        """How many runs there are with each key."""
        return Counter(key for run, key in self.run_keys.items() if run not in self.deleted)

    # --- what a trainer does

    def joined(self, run_id: str) -> None:
        """`mlflow.start_run()` in a container that has MLFLOW_RUN_ID."""
        self.change_run(run_id, "RUNNING")

    def left(self, run_id: str, status: RunStatus) -> None:
        """The container ends: it has logged a metric and a model, and says how it ended."""
        run = self.change_run(run_id, status)
        if run is not None:
            value = GOOD if run.params.get("depth") == "1" else BAD
            self.runs[run_id] = replace(run, metrics={"val_f1": value}, models=(f"m-{run_id}",))

    def logged_model(self, run_id: str) -> LoggedModel | None:
        """The model that a run has logged."""
        run = self.runs.get(run_id)
        if run is None or run_id in self.deleted or not run.models:
            return None
        return LoggedModel(f"models:/{run.models[0]}", run.models[0])

    # --- models

    def find_version(self, model: str, key: str) -> ModelVersion | None:
        """The oldest version with this key."""
        return next((one for place, one in self.versions.items() if self._has(place, model, key)), None)

    def make_version(self, key: str, version: ModelVersion) -> ModelVersion:
        """A new version, whether there is one with this key or not."""
        number = str(1 + sum(model == version.model for model, _ in self.versions))
        made = replace(version, version=number, created_at=START)
        self.versions[made.model, number] = made
        self.version_keys[made.model, number] = key
        self._tell(f"made version {number} of {made.model} with key {key}")
        return made

    def tag_version(self, model: str, version: str, tags: dict[str, str]) -> ModelVersion | None:
        """A version with more tags."""
        found = self.versions.get((model, version))
        if found is not None:
            self.versions[model, version] = replace(found, tags={**found.tags, **tags})
        return self.versions.get((model, version))

    def set_alias(self, model: str, alias: str, version: str) -> ModelVersion | None:
        """The alias points at a version, if there is such a version."""
        if (model, version) in self.versions and self.aliases.get((model, alias)) != version:
            self.aliases[model, alias] = version
            self._tell(f"{model}@{alias} is version {version}")
        return self.versions.get((model, version))

    def resolve(self, model: str, alias: str, version: str) -> ModelVersion | None:
        """The version that an alias points at, or the one with a number."""
        return self.versions.get((model, self.aliases.get((model, alias), "") if alias else version))

    def version_counts(self) -> Counter[tuple[str, str]]:
        """How many versions there are of each model with each key."""
        return Counter((model, key) for (model, _), key in self.version_keys.items() if key)

    def _has(self, place: tuple[str, str], model: str, key: str) -> bool:
        return place[0] == model and self.version_keys.get(place) == key

    def lose_alias(self, model: str, alias: str) -> None:
        """The alias points nowhere."""
        if self.aliases.pop((model, alias), None):
            self._tell(f"{model}@{alias} is no more")

    def _tell(self, what: str) -> None:
        self.changes += 1
        self.stage.story.tell("mlflow", "has", what)
        for listener in self.listeners:
            listener(what)
