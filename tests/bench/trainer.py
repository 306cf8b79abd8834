"""What pods on pretended nodes do not do: train. `python -m tests.bench.trainer` stands in for the code of all of them.

Of each pod that runs it waits as long as training takes, logs to the run that the pod's environment names what training
code logs (a metric and a model), and ends the pod. A pod whose environment names no run only waits and ends.
"""

import argparse
import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from tests.bench.api import Api

METRIC, VALUE = "val_f1", 0.9
AT_ONCE = 8  # requests to MLflow, and to the API server
PATIENCE = aiohttp.ClientTimeout(total=None, sock_read=120)
# A watch has nothing to say while no pod is made.
ENDLESS = aiohttp.ClientTimeout(total=None)
PODS = "/api/v1/namespaces/default/pods"

type Json = Mapping[str, Any]


@dataclass(frozen=True)
class Trainer:
    """The connections, and how long training takes: between this and twice this."""

    kubernetes: aiohttp.ClientSession
    mlflow: aiohttp.ClientSession
    seconds: float

    async def run(self) -> None:
        """Train in every pod, until cancelled."""
        seen = set[str]()
        async with asyncio.TaskGroup() as pods:
            async for pod in self._running():
                if (uid := pod["metadata"]["uid"]) not in seen:
                    seen.add(uid)
                    pods.create_task(self._train(pod))

    async def _running(self) -> AsyncIterator[Json]:
        """Each pod once it runs; the API server ends a watch now and then."""
        query = {"watch": "1", "fieldSelector": "status.phase=Running"}
        while True:
            async with self.kubernetes.get(PODS, params=query) as answer:
                async for line in answer.content:
                    if (event := json.loads(line))["type"] == "ADDED":
                        yield event["object"]

    async def _train(self, pod: Json) -> None:
        jitter = random.Random(pod["metadata"]["uid"]).uniform(1, 2)  # noqa: S311 (no secret)
        await asyncio.sleep(self.seconds * jitter)
        env = {one["name"]: one.get("value", "") for main in pod["spec"]["containers"] for one in main.get("env", ())}
        if "MLFLOW_RUN_ID" in env:
            await self._log(env["MLFLOW_TRACKING_URI"], env["MLFLOW_RUN_ID"], env["MLFLOW_EXPERIMENT_ID"])
        await _call(self.kubernetes, "PATCH", f"{PODS}/{pod['metadata']['name']}/status", {"status": _ended(pod)})

    async def _log(self, server: str, run_id: str, experiment_id: str) -> None:
        """A metric, and a model without files, which nobody is going to load."""
        api = f"{server}/api/2.0/mlflow"
        metric = {"key": METRIC, "value": VALUE, "timestamp": int(time.time() * 1000), "step": 0}
        await _call(self.mlflow, "POST", f"{api}/runs/log-batch", {"run_id": run_id, "metrics": [metric]})
        model = {"experiment_id": experiment_id, "name": "model", "source_run_id": run_id}
        made = await _call(self.mlflow, "POST", f"{api}/logged-models", model)
        model_id = made["model"]["info"]["model_id"]
        ready = {"model_id": model_id, "status": "LOGGED_MODEL_READY"}
        await _call(self.mlflow, "PATCH", f"{api}/logged-models/{model_id}", ready)


async def _call(session: aiohttp.ClientSession, method: str, path: str, body: Json) -> Any:  # noqa: ANN401 (any JSON)
    kind = "application/merge-patch+json" if path.startswith(PODS) else "application/json"
    async with session.request(method, path, data=json.dumps(body), headers={"Content-Type": kind}) as answer:
        answer.raise_for_status()
        return await answer.json()


def _ended(pod: Json) -> Json:
    """The status of a pod whose containers all ended well."""
    end = {"exitCode": 0, "reason": "Completed", "finishedAt": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    return {
        "phase": "Succeeded",
        "containerStatuses": [
            {**one, "ready": False, "started": False, "state": {"terminated": {**end, **one["state"]["running"]}}}
            for one in pod["status"]["containerStatuses"]
        ],
    }


async def _main(api: Api, seconds: float) -> None:
    to_kubernetes = aiohttp.TCPConnector(ssl=api.tls(), limit=AT_ONCE + 1)
    to_mlflow = aiohttp.TCPConnector(limit=AT_ONCE)
    async with (
        aiohttp.ClientSession(api.server, connector=to_kubernetes, timeout=ENDLESS) as kubernetes,
        aiohttp.ClientSession(connector=to_mlflow, timeout=PATIENCE) as mlflow,
    ):
        await Trainer(kubernetes, mlflow, seconds).run()


def main() -> None:
    """Train until terminated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True)
    parser.add_argument("--keys", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    asyncio.run(_main(Api(options.server, options.keys), options.seconds))


if __name__ == "__main__":
    main()
