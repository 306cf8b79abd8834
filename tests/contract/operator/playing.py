"""What no node and no code does here: pods that no scheduler takes are started, log to their run, and end."""

import http.client
import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from tests.bench.api import Api
from tests.cluster.cluster import Cluster
from tests.contract.mlflow.rest import Rest

METRIC = "val_f1"
# Of a TrainingJob whose pods are played: the first attempt fails if it is told so.
PODS: Mapping[str, Any] = {"spec": {"schedulerName": "played"}}
FAILS = "fails-at-first"

type Json = Mapping[str, Any]


@dataclass(frozen=True)
class Player:
    """Plays all pods of a namespace, and knows which of each TrainingJob it has played."""

    api: Api
    namespace: str
    mlflow: Rest
    played: Counter[str] = field(default_factory=Counter)

    def play(self, watch: http.client.HTTPSConnection, over: threading.Event) -> None:
        """Play each pod once it is there, until it is over and the watch is closed."""
        try:
            self._play_all(watch)
        except (OSError, http.client.HTTPException):
            if not over.is_set():
                raise

    def _play_all(self, watch: http.client.HTTPSConnection) -> None:
        watch.request("GET", f"{self._pods()}?watch=1")
        with watch.getresponse() as answer:
            for line in answer:
                event = json.loads(line)
                if event["type"] == "ADDED" and event["object"]["status"]["phase"] == "Pending":
                    self._play(event["object"])

    def _play(self, pod: Json) -> None:
        main = pod["spec"]["containers"][0]
        self.played[pod["metadata"]["labels"]["serinus.dev/training-job"]] += 1
        self._say(pod, "Running", {"running": {"startedAt": _now()}})
        if main.get("args") == [FAILS, "1"]:
            self._say(pod, "Failed", {"terminated": {"exitCode": 3, "reason": "Error", "finishedAt": _now()}})
            return
        self._log({one["name"]: one.get("value", "") for one in main["env"]})
        self._say(pod, "Succeeded", {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": _now()}})

    def _log(self, env: Mapping[str, str]) -> None:
        """A metric, and a model that nobody is going to load."""
        run = env["MLFLOW_RUN_ID"]
        self.mlflow.post("runs/log-metric", run_id=run, key=METRIC, value=0.9, timestamp=1)
        self.mlflow.finish(self.mlflow.logged_model(env["MLFLOW_EXPERIMENT_ID"], run))

    def _say(self, pod: Json, phase: str, state: Json) -> None:
        """What a kubelet says of its pod."""
        container = {"name": "main", "image": "", "imageID": "", "ready": False, "restartCount": 0, "state": state}
        body = json.dumps({"status": {"phase": phase, "containerStatuses": [container]}})
        connection = connect(self.api)
        headers = {"Content-Type": "application/merge-patch+json"}
        connection.request("PATCH", f"{self._pods()}/{pod['metadata']['name']}/status", body, headers)
        with connection.getresponse() as answer:
            assert answer.status == 200, answer.read()
        connection.close()

    def _pods(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods"


@contextmanager
def playing(api: Api, namespace: str, mlflow: Rest) -> Iterator[Player]:
    """The pods of a namespace are played as long as the context is open."""
    player = Player(api, namespace, mlflow)
    watch, over = connect(api), threading.Event()
    thread = threading.Thread(target=player.play, args=[watch, over])
    thread.start()
    try:
        yield player
    finally:
        over.set()
        watch.sock.shutdown(socket.SHUT_RDWR)
        thread.join()
        watch.close()


def api_of(cluster: Cluster) -> Api:
    """The way to its API server."""
    return Api(cluster.layout.server, cluster.layout.keys)


def connect(api: Api) -> http.client.HTTPSConnection:
    """A connection to the API server, as administrator."""
    made = http.client.HTTPSConnection(urlsplit(api.server).netloc, context=api.tls())
    made.connect()
    return made


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
