"""Code and data that training begins with, each way a TrainingJob of its own; they run side by side."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import yaml

from tests import platform
from tests.e2e import origin, pods, stores
from tests.e2e.inputs import A_CSV, A_FOLDER, A_PARQUET, CSV, ODD, PARQUET, UNMET, Read, an_input, looking
from tests.e2e.origin import PASSWORD, URL, USERNAME, Origin
from tests.e2e.training import OPEN, Lab, conditions, message, shell_job
from tests.platform import Platform

NAMESPACE = "t-training-inputs"
WRONG_PASSWORD = "a-token-of-nobody"  # noqa: S105 (it opens nothing)
NO_DIGEST = "0" * 64

READS = (
    Read("of-web", f"{URL}/files/people.parquet", A_PARQUET),
    Read("of-config", "configmap://tables/people.csv", A_CSV),
    Read("of-claim", "pvc://shelf/people.csv", A_CSV),
    Read("of-folder", "pvc://shelf/parts/", A_FOLDER),
)
BUCKET = (
    Read("of-bucket", "s3://models/in/people.csv", A_CSV),
    Read("of-prefix", "s3://models/in/parts/", A_FOLDER),
)
FILL = """
cp /files/people.csv /shelf/
mkdir /shelf/parts
for part in a b; do cp /files/people.parquet /shelf/parts/$part.parquet; done
"""
# The first attempt moves the branch itself, so that the second cannot but come after that.
MOVING = f"""
import json, sys, urllib.request
if sys.argv[1] == "1":
    files = json.dumps({{"code/train.py": "print('the second')"}}).encode()
    moved = urllib.request.urlopen("{URL}/commits/models/release", files).read().decode()
    raise SystemExit(f"the branch moved to {{moved}}")
print("the first")
"""


def _of_git(name: str, script: str, **git: str) -> dict[str, Any]:
    address = {"url": f"{URL}/git/models", "ref": "release", "path": "code", "credentialsSecret": "login"}
    return shell_job(name, script, source={"git": {**address, **git}})


def _of_input(name: str, uri: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 (any JSON)
    return shell_job(name, "echo nobody should see this", inputs=[an_input("people", uri, **more)])


def _jobs() -> list[dict[str, Any]]:
    return [
        _of_git("moving", "python /src/train.py $(attempt)"),
        _of_git("no-ref", "true", ref="nowhere"),
        _of_git("wrong-password", "true", credentialsSecret="wrong-login"),
        _of_git("late-secret", "test -f /src/train.py", credentialsSecret="late-login"),
        shell_job("of-files", "python /src/hello.py && ! touch /src/new", source={"configMap": {"name": "code"}}),
        looking("reads", READS),
        _of_input("other-digest", "configmap://tables/people.csv", sha256=NO_DIGEST),
        _of_input("odd", "configmap://tables/odd.csv", expect=UNMET),
        _of_input("no-page", f"{URL}/files/nothing.csv"),
        _of_input("no-key", "configmap://tables/nothing.csv"),
        _of_input("no-map", "configmap://nothing/people.csv"),
        _of_input("no-path", "pvc://shelf/nothing.csv"),
        shell_job("typo", "echo $(params.dept)", parameters={"depth": 8}),
    ]


@pytest.fixture(scope="module")
def ground(installed: Platform) -> Iterator[Lab]:
    """A namespace with everything that they read."""
    where = installed.target
    platform.create_namespace(where, NAMESPACE)
    made = Lab(installed, NAMESPACE)
    made.apply(
        origin.config_map("tables", {"people.csv": CSV, "people.parquet": PARQUET, "odd.csv": ODD}),
        origin.config_map("code", {"hello.py": b"print('hello from a ConfigMap')"}),
        origin.secret("login", username=USERNAME, password=PASSWORD),
        origin.secret("wrong-login", username=USERNAME, password=WRONG_PASSWORD),
        *origin.manifests(where, "tables"),
        *origin.shelf(where, "shelf", "tables", FILL),
    )
    where.kubectl("wait", "-n", NAMESPACE, "pod/origin", "--for=condition=Ready", "--timeout=120s")
    pods.wait_for_end(where.kubectl, NAMESPACE, "shelf")
    yield made
    where.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture(scope="module")
def commit(ground: Lab) -> str:
    """What the branch is at when the jobs are applied."""
    return Origin(ground.kubectl, NAMESPACE).commit("models", "release", {"code/train.py": MOVING, "other": "x"})


@pytest.fixture(scope="module")
def lab(ground: Lab, commit: str) -> Iterator[Lab]:
    """All of them, applied at once; the last is the example, as it is."""
    assert len(commit) == len("a" * 40)
    with ExitStack() as stack:
        bucket = _bucket(ground, stack)
        ground.apply(*_jobs(), *bucket, *yaml.safe_load_all(ground.installed.example("inputs")))
        yield ground


def _bucket(lab: Lab, stack: ExitStack) -> list[dict[str, Any]]:
    """A job that reads from an S3 server on this machine, which only pods of our own cluster reach."""
    where = lab.installed.target
    if where.local is None:
        return []
    s3 = stack.enter_context(stores.s3(str(where.local.layout.addresses.host), where.settings))
    for read in BUCKET:
        at = s3.folder / read.uri.removeprefix(f"s3://{s3.bucket}/")
        folder = at if len(read.table.files) > 1 else at.parent
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in read.table.files.items():
            (folder / name).write_bytes(content)
    access = {"AWS_ACCESS_KEY_ID": s3.access_key, "AWS_SECRET_ACCESS_KEY": s3.secret_key}
    secret = origin.secret("bucket", **access, AWS_ENDPOINT_URL=s3.endpoint, AWS_DEFAULT_REGION="us-east-1")
    return [secret, looking("bucket", BUCKET, envFrom=[{"secretRef": {"name": "bucket"}}])]


def test_a_login_that_is_missing_is_told_at_once_and_no_attempt_is_lost(lab: Lab) -> None:
    status = lab.wait("late-secret", "Stalled")
    assert conditions(status)["Stalled"] == ("True", "ConfigurationMissing")
    assert 'secret "late-login" not found' in status["message"]
    lab.apply(origin.secret("late-login", username=USERNAME, password=PASSWORD))
    done = lab.wait("late-secret", "Complete")
    assert (done["attempt"], done.get("failures", 0)) == (1, 0)


def test_every_attempt_runs_the_commit_of_the_first_though_the_branch_moved(lab: Lab, commit: str) -> None:
    status = lab.wait("moving", "Complete")
    assert (status["phase"], status["attempt"], status["failures"]) == ("Succeeded", 2, 1)
    words, _, moved = status["attempts"][0]["message"].rpartition(" ")
    assert words.endswith("the branch moved to")
    assert len(moved) == len(commit)
    assert moved != commit
    assert status["resolved"]["commit"] == commit
    assert _said(lab, "moving", attempt=2) == ["the first"]
    assert commit in _fetching(lab, "moving", attempt=2)
    runs = {run.id: run for run in lab.runs_of("moving")}
    for one in status["attempts"]:
        tags = runs[one["runId"]].tags
        assert (tags["serinus.commit"], tags["serinus.source"]) == (commit, f"{URL}/git/models#code")


def test_code_of_a_configmap_is_at_src(lab: Lab) -> None:
    assert lab.wait("of-files", "Complete")["phase"] == "Succeeded"
    assert _said(lab, "of-files")[0] == "hello from a ConfigMap"
    (run,) = lab.runs_of("of-files")
    assert run.tags["serinus.source"] == "configmap://code"


def test_what_is_read_is_verified_and_recorded(lab: Lab) -> None:
    _assert_read(lab, "reads", READS)


@pytest.mark.local
def test_what_is_in_a_bucket_is_verified_and_recorded(lab: Lab) -> None:
    _assert_read(lab, "bucket", BUCKET)


def test_example_with_inputs_trains_as_it_is(lab: Lab) -> None:
    status = lab.wait("churn", "Complete")
    assert (status["phase"], status["gate"]["verdict"]) == ("Succeeded", "Passed")
    (read,) = status["resolved"]["inputs"]
    assert (read["name"], read["rows"]) == ("customers", 240)
    (version,) = [one for one in lab.versions("churn") if one["run_id"] == status["run"]["id"]]
    tags = {one["key"]: one["value"] for one in version["tags"]}
    assert tags["serinus.input.customers"] == read["sha256"]
    assert tags["serinus.source"].startswith("configmap://churn-code-")


def test_other_data_than_was_meant_is_not_trained_on(lab: Lab) -> None:
    status = _failed(lab, "other-digest", "DigestMismatch")
    assert A_CSV.sha256 in status["message"]
    assert NO_DIGEST in status["message"]
    assert [one["sha256"] for one in status["resolved"]["inputs"]] == [A_CSV.sha256]
    assert conditions(status)["DataValid"] == ("False", "DigestMismatch")


def test_each_broken_expectation_is_told_with_its_numbers(lab: Lab) -> None:
    status = _failed(lab, "odd", "ExpectationsBroken")
    assert conditions(status)["DataValid"] == ("False", "ExpectationsBroken")
    assert [
        (one["input"], one.get("column", ""), one["expected"], one["found"]) for one in status["brokenExpectations"]
    ] == [
        ("people", "", "at least 10 rows", "3 rows"),
        ("people", "age", "no missing values", "1 of 3 rows are null"),
        ("people", "age", "no value below 0", "1 of 3 rows are below, the least is -4"),
        ("people", "country", "one of DE, FR", "1 of 3 rows are of another value, such as 'XX'"),
        ("people", "id", "type int", "1 of 3 rows are of another type, such as 'x'"),
        ("people", "income", "a column of this name", "no column of this name"),
    ]
    assert "6 expectations are broken" in status["message"]
    assert "expected at least 10 rows, found 3 rows" in lab.events("odd")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no-page", f"input people ({URL}/files/nothing.csv): the server answered 404"),
        ("no-key", "there is no ConfigMap 'tables' with key 'nothing.csv'"),
        ("no-map", "there is no ConfigMap 'nothing' with key 'people.csv'"),
        ("no-path", "volume claim 'shelf' holds no 'nothing.csv'"),
    ],
)
def test_an_input_that_is_not_there_is_named(lab: Lab, name: str, words: str) -> None:
    status = _failed(lab, name, "InputUnreadable")
    assert words in status["message"]
    assert conditions(status)["DataValid"] == ("False", "InputUnreadable")


def test_a_ref_that_is_not_there_is_named(lab: Lab) -> None:
    status = _failed(lab, "no-ref", "SourceUnreadable")
    assert "there is no branch, tag or full commit id 'nowhere'" in status["message"]
    assert "DataValid" not in conditions(status)


def test_a_wrong_password_is_told_and_not_shown(lab: Lab) -> None:
    status = _failed(lab, "wrong-password", "SourceUnreadable")
    assert "the server answered 401" in status["message"]
    (run,) = lab.runs_of("wrong-password")
    seen = [lab.job("wrong-password"), lab.pods_of("wrong-password"), lab.jobs_of("wrong-password"), dict(run.tags)]
    told = json.dumps(seen) + lab.events("wrong-password") + _fetching(lab, "wrong-password")
    assert "401" in _fetching(lab, "wrong-password")
    assert WRONG_PASSWORD not in told


def test_a_parameter_that_is_unknown_is_told_before_anything_is_made(lab: Lab) -> None:
    status = lab.wait("typo", "Stalled")
    assert conditions(status)["Stalled"] == ("True", "InvalidSpec")
    assert "$(params.dept), which is unknown" in status["message"]
    assert (lab.runs_of("typo"), lab.jobs_of("typo")) == ([], [])


def test_in_the_end_no_run_is_open(lab: Lab) -> None:
    """Last in this file."""
    jobs = [one["metadata"] for one in lab.kubectl.get("trainingjobs", "-n", lab.namespace)["items"]]
    assert {one["name"]: [run.id for run in lab.runs(one["uid"]) if run.status in OPEN] for one in jobs} == {
        one["name"]: [] for one in jobs
    }


def _assert_read(lab: Lab, name: str, reads: tuple[Read, ...]) -> None:
    """Status, the run's tags and its datasets say what each of them is."""
    status = lab.wait(name, "Complete")
    assert (status["phase"], status["attempt"]) == ("Succeeded", 1)
    assert conditions(status)["DataValid"] == ("True", "AllExpectationsMet")
    found = {one["name"]: (one["sha256"], one["rows"]) for one in status["resolved"]["inputs"]}
    assert found == {one.name: (one.table.sha256, one.table.rows) for one in reads}
    (run,) = lab.runs_of(name)
    tagged = {key: value for key, value in run.tags.items() if key.startswith("serinus.input.")}
    assert tagged == {f"serinus.input.{one.name}": one.table.sha256 for one in reads}
    logged = {one["dataset"]["name"]: one["dataset"] for one in run.inputs}
    assert set(logged) == {one.name for one in reads}
    for one in reads:
        dataset = logged[one.name]
        assert dataset["digest"] == one.table.sha256[:36]
        assert json.loads(dataset["source"])["uri"] == one.uri
        assert json.loads(dataset["profile"]) == {"num_rows": one.table.rows, "sha256": one.table.sha256}


def _failed(lab: Lab, name: str, reason: str) -> dict[str, Any]:
    """Its status: it failed for good with its first attempt, and the user's container was never started."""
    status = lab.wait(name, "Failed")
    assert (status["phase"], status["attempt"], conditions(status)["Failed"]) == ("Failed", 1, ("True", reason))
    assert [one["reason"] for one in status["attempts"]] == [reason]
    assert message(status, "Failed") == status["message"]
    (pod,) = lab.pods_of(name)
    (main,) = pod["status"]["containerStatuses"]
    assert main["state"] == {"waiting": {"reason": "PodInitializing"}}
    told = lab.events(name)
    assert (told.count(reason), "is training" in told) == (1, False)
    (run,) = lab.runs_of(name)
    assert (run.status, run.tags["serinus.reason"]) == ("FAILED", reason)
    return status


def _said(lab: Lab, name: str, attempt: int = 1) -> list[str]:
    """What the user's container printed."""
    return lab.kubectl("logs", "-n", lab.namespace, _pod(lab, name, attempt), "-c", "main").splitlines()


def _fetching(lab: Lab, name: str, attempt: int = 1) -> str:
    """What ours printed."""
    return lab.kubectl("logs", "-n", lab.namespace, _pod(lab, name, attempt), "-c", "serinus-fetch")


def _pod(lab: Lab, name: str, attempt: int) -> str:
    found = (one["metadata"] for one in lab.pods_of(name))
    return next(str(one["name"]) for one in found if one["labels"]["serinus.dev/attempt"] == str(attempt))
