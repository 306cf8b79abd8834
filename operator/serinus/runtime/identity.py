"""Which cluster this is: runs in a registry that several clusters write to are told apart by it."""

import asyncio
import logging
from random import Random
from typing import Final

from serinus import objects
from serinus.objects import NAMESPACE, Ref
from serinus.ports import Kube, KubeError, Unavailable
from serinus.runtime.queue import Backoff

log = logging.getLogger(__name__)

# Its uid is what a cluster is commonly known by: it is there from the beginning, and stays as long as the cluster.
SOURCE: Final = Ref(NAMESPACE, "", "kube-system")
RETRY: Final = Backoff(first=0.5, most=30.0)


async def cluster(kube: Kube, random: Random) -> str:
    """The uid of the namespace kube-system, once the API server answers; empty if it does not tell us."""
    failures = 0
    while True:
        try:
            found = await kube.get(SOURCE)
        except Unavailable as error:
            failures += 1
            delay = RETRY.delay(failures, random)
            log.warning("%s; again in %.1f s", error, delay)
            await asyncio.sleep(delay)
        except KubeError as error:
            return _unknown(error)
        else:
            return objects.uid(found) if found is not None else _unknown("there is no namespace kube-system")


def _unknown(why: object) -> str:
    log.warning(
        "%s; the operator goes on, but does not know which cluster this is: "
        "runs in MLflow whose resource or pod is gone stay open",
        why,
    )
    return ""
