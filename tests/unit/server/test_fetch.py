"""Fetching a model over real HTTP, with processes that are killed and stores that break off."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest

from serinus_server.fetching import Fetched, Settings, digest, fetch
from serinus_server.problems import DIGEST_MISMATCH, NOT_FOUND, SETTINGS, UNREADABLE, ModelProblem
from tests.unit.server.fetch_server import MODEL_ID, Server, serving, write_model

VERSION = "models:/iris/7"
_PROGRAM = """
import sys
from pathlib import Path
from serinus_server.fetching import Settings, fetch
found = fetch(sys.argv[1], Settings(tracking_uri=sys.argv[2], cache=Path(sys.argv[3]), deadline=60))
print("RESULT", found.path, found.digest, "mlflow" in sys.modules)
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(Server(write_model(tmp_path / "store"))) as one:
        yield one


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def settings(server: Server, tmp_path: Path, said: list[str]) -> Settings:
    return Settings(tracking_uri=server.address, cache=tmp_path / "cache", deadline=20, say=said.append)


def _with(settings: Settings, **changes: object) -> Settings:
    known = {name: getattr(settings, name) for name in Settings.__dataclass_fields__}
    return Settings(**(known | changes))


def _problem(uri: str, settings: Settings) -> ModelProblem:
    with pytest.raises(ModelProblem) as caught:
        fetch(uri, settings)
    return caught.value


def _start(uri: str, settings: Settings) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _PROGRAM, uri, settings.tracking_uri, str(settings.cache)]
    environment = {**os.environ, "PYTHONPATH": "images/server"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def _result(process: subprocess.Popen[str]) -> list[str]:
    with process:
        output = process.communicate(timeout=60)[0]
    return next((line.split()[1:] for line in output.splitlines() if line.startswith("RESULT")), [output])


def _release(*found: Fetched) -> None:
    for one in found:
        one.hold.release()


def test_a_version_is_fetched_once_and_says_what_it_is(server: Server, settings: Settings) -> None:
    first = fetch(VERSION, settings)
    assert (first.name, first.version, first.run_id, first.model_id) == ("iris", "7", "5d0f", MODEL_ID)
    assert first.digest == digest.of_folder(server.folder) == digest.of_folder(first.path)
    assert first.path == settings.cache / "models" / MODEL_ID / "model"
    server.requests.clear()
    second = fetch(VERSION, settings)
    assert second == first
    assert len(server.requests) == 1
    _release(first, second)


def test_an_alias_is_resolved_and_told(settings: Settings, said: list[str]) -> None:
    found = fetch("models:/iris@champion", settings)
    assert (found.version, found.alias) == ("7", "champion")
    assert f"models:/iris@champion is version 7 (models:/{MODEL_ID})" in said
    _release(found)


def test_all_addresses_of_one_model_share_its_files(server: Server, settings: Settings) -> None:
    found = [fetch(uri, settings) for uri in (VERSION, "models:/iris@champion", f"models:/{MODEL_ID}")]
    assert len({one.path for one in found}) == 1
    assert server.downloads().count("model.pkl") == 1
    _release(*found)


def test_files_of_the_server_by_their_address(settings: Settings) -> None:
    found = fetch("mlflow-artifacts:/files", settings)
    assert (found.model_id, found.version) == (MODEL_ID, "")
    _release(found)


def test_a_warm_start_imports_no_mlflow(settings: Settings) -> None:
    _release(fetch(VERSION, settings))
    assert _result(_start(VERSION, settings))[2] == "False"


def test_a_pinned_version_starts_without_the_registry(tmp_path: Path, said: list[str]) -> None:
    with serving(Server(write_model(tmp_path / "store"))) as server:
        settings = Settings(tracking_uri=server.address, cache=tmp_path / "cache", deadline=3, say=said.append)
        found = [fetch(uri, settings) for uri in (VERSION, "models:/iris@champion")]
    again = fetch(VERSION, settings)
    assert again == found[0]
    assert any("the registry does not answer" in one for one in said)
    # An alias means what the registry says now, so it is not guessed; the last answer is told.
    assert (
        "it was models:/iris/7, which would start without the registry"
        in _problem("models:/iris@champion", settings).message
    )
    _release(*found, again)


def test_a_folder_is_used_where_it_is(tmp_path: Path) -> None:
    model = write_model(tmp_path / "my model")
    settings = Settings(tracking_uri="", cache=tmp_path / "cache")
    for uri in (str(model), model.as_uri(), f"file:{model}"):
        assert fetch(uri, settings).path == model
    assert not settings.cache.exists()
    assert fetch(str(model), _with(settings, digest=digest.of_folder(model))).model_id == MODEL_ID
    assert _problem(str(model), _with(settings, digest="0" * 64)).reason == DIGEST_MISMATCH


@pytest.mark.parametrize(
    ("uri", "reason", "words"),
    [
        ("models:/iris@nobody", NOT_FOUND, "alias nobody not found"),
        ("models:/iris/8", NOT_FOUND, "HTTP 404"),
        ("models:/m-" + "f" * 32, NOT_FOUND, "HTTP 404"),
        ("mlflow-artifacts:/files/code", NOT_FOUND, "no MLmodel is there, but helper.py"),
        ("mlflow-artifacts:/files/nothing", NOT_FOUND, "no files are there"),
        ("models:/iris/latest", SETTINGS, "does not name one pinned model"),
        ("models:/iris/Production", SETTINGS, "does not name one pinned model"),
        ("/no/such/folder", NOT_FOUND, "there is no folder /no/such/folder"),
        ("file://elsewhere/model", SETTINGS, "names the host 'elsewhere'"),
        ("", SETTINGS, "is empty"),
    ],
)
def test_what_is_not_there_is_told_with_a_remedy(uri: str, reason: str, words: str, settings: Settings) -> None:
    problem = _problem(uri, settings)
    assert problem.reason == reason
    assert words in problem.message
    assert uri in problem.message
    assert ": correct " in problem.message or "give one of" in problem.message or ": write file:" in problem.message


def test_who_may_not_is_told_which_credentials(
    server: Server, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.faults.user = "reader"
    problem = _problem(VERSION, settings)
    assert problem.reason == UNREADABLE
    assert "MLFLOW_TRACKING_PASSWORD" in problem.message
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "reader")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hush-hush")
    _release(fetch(VERSION, settings))


def test_credentials_are_never_said(server: Server, settings: Settings, said: list[str]) -> None:
    server.faults.unwell = 1
    address = server.address.replace("http://", "http://reader:hush-hush@")
    found = fetch(VERSION, _with(settings, tracking_uri=address))
    problem = _problem("models:/iris/8", _with(settings, tracking_uri=address))
    assert "HTTP 503" in said[0]
    assert "hush-hush" not in " ".join([*said, problem.message, str(found)])
    _release(found)


def test_who_cannot_be_reached_is_asked_until_the_deadline(settings: Settings, said: list[str]) -> None:
    started = time.monotonic()
    problem = _problem(VERSION, _with(settings, tracking_uri="http://127.0.0.1:9", deadline=2.0))
    assert time.monotonic() - started < 10
    assert problem.reason == UNREADABLE
    assert "http://127.0.0.1:9" in problem.message
    assert "can be reached from here" in problem.message
    assert any("trying again in" in one for one in said)


def test_a_server_that_is_unwell_for_a_while_is_asked_again(server: Server, settings: Settings) -> None:
    server.faults.unwell = 2
    _release(fetch(VERSION, settings))


def test_a_download_that_breaks_off_is_tried_again(server: Server, settings: Settings, said: list[str]) -> None:
    server.faults.truncated = 2
    found = fetch(VERSION, settings)
    assert found.digest == digest.of_folder(server.folder)
    assert sum("trying again" in one for one in said) == 2
    _release(found)


def test_a_store_that_is_too_slow_ends_with_how_far_it_was(server: Server, settings: Settings) -> None:
    fetch("mlflow-artifacts:/files", settings)
    server.faults.slow = 1.0
    started = time.monotonic()
    problem = _problem(VERSION, _with(settings, deadline=2.0))
    assert time.monotonic() - started < 6
    assert problem.reason == UNREADABLE
    assert "of 1.0 MB" in problem.message


def test_another_digest_than_the_one_that_is_wanted(server: Server, settings: Settings) -> None:
    wanted = digest.of_folder(server.folder)
    problem = _problem(VERSION, _with(settings, digest="0" * 64))
    assert problem.reason == DIGEST_MISMATCH
    assert wanted in problem.message
    assert not (settings.cache / "models" / MODEL_ID).exists()
    _release(fetch(VERSION, _with(settings, digest=wanted)))


def test_files_of_another_model_than_the_registry_says(server: Server, settings: Settings) -> None:
    text = (server.folder / "MLmodel").read_text()
    (server.folder / "MLmodel").write_text(text.replace(MODEL_ID, "m-" + "e" * 32))
    problem = _problem(VERSION, settings)
    assert problem.reason == DIGEST_MISMATCH
    assert f"the registry says that it is {MODEL_ID}" in problem.message


def test_a_model_that_lost_files_in_the_store(server: Server, settings: Settings) -> None:
    text = (server.folder / "MLmodel").read_text()
    (server.folder / "MLmodel").write_text(text.replace("model_size_bytes: 1000", "model_size_bytes: 99999999"))
    problem = _problem(VERSION, settings)
    assert problem.reason == DIGEST_MISMATCH
    assert "the model was logged with 99999999" in problem.message


def test_a_damaged_entry_is_fetched_anew(server: Server, settings: Settings, said: list[str]) -> None:
    first = fetch(VERSION, settings)
    (first.path / "model.pkl").write_bytes(b"short")
    second = fetch(VERSION, settings)
    assert digest.of_folder(second.path) == digest.of_folder(server.folder)
    assert any("model.pkl has 5 bytes instead of 1024000" in one for one in said)
    _release(first, second)


def test_a_limit_makes_room_for_the_new_model(server: Server, settings: Settings, said: list[str]) -> None:
    fetch("mlflow-artifacts:/files", settings).hold.release()
    found = fetch(VERSION, _with(settings, limit=1_500_000))
    assert [one.name for one in (settings.cache / "models").iterdir()] == [found.model_id]
    assert any("removed the model mlflow-artifacts" in one for one in said)
    assert server.downloads().count("model.pkl") == 2
    _release(found)


def test_a_fetch_that_was_killed_goes_on_with_what_is_complete(server: Server, settings: Settings) -> None:
    (server.folder / "more.bin").write_bytes(b"m" * 4_000_000)
    server.faults.slow = 0.1
    process = _start(VERSION, settings)
    partial = settings.cache / "models" / f"{MODEL_ID}.partial" / "model"
    deadline = time.monotonic() + 30
    while not (partial / "model.pkl").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (partial / "more.bin").exists()
    server.requests.clear()
    server.faults.slow = 0.0
    found = fetch(VERSION, settings)
    assert server.downloads() == ["more.bin"]
    assert found.digest == digest.of_folder(server.folder) == digest.of_folder(found.path)
    assert not list((settings.cache / "tmp").iterdir())
    _release(found)


def test_two_processes_fetch_a_model_once(server: Server, settings: Settings) -> None:
    server.faults.slow = 0.05
    results = [_result(one) for one in [_start(VERSION, settings), _start(VERSION, settings)]]
    assert {tuple(one[:2]) for one in results} == {
        (str(settings.cache / "models" / MODEL_ID / "model"), digest.of_folder(server.folder))
    }
    assert server.downloads().count("model.pkl") == 1


def test_without_locks_two_fetchers_do_no_harm(
    server: Server, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> NoReturn:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    server.faults.slow = 0.02
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lambda _: fetch(VERSION, settings), range(3)))
    assert {digest.of_folder(one.path) for one in found} == {digest.of_folder(server.folder)}
    assert [one.name for one in (settings.cache / "models").iterdir()] == [MODEL_ID]


def test_a_cache_that_cannot_be_written_to_is_told(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    problem = _problem(VERSION, _with(settings, cache=tmp_path / "file"))
    assert problem.reason == UNREADABLE
    assert "give the cache a writable volume" in problem.message
