"""`python -m tests.crd`: each constraint of the API, and what a real kube-apiserver takes and refuses, as a table."""

import json

from tests import crds
from tests.cluster import cluster, settings
from tests.cluster.cluster import Cluster
from tests.cluster.layout import Profile
from tests.crd import conftest
from tests.crd.cases import Case, Required
from tests.crd.objects import CHECKOUT, unnamed
from tests.crd.server import Server
from tests.crd.test_constraints import CASES

WIDTH = 60


def main() -> None:
    """Start the server, ask it about every case, print."""
    chosen = settings.read(name=conftest.CLUSTER_NAME)
    with cluster.borrowed(chosen, Profile.CONTROL_PLANE, lambda _: None) as started:
        _print(started)


def _print(started: Cluster) -> None:
    crds.install(started.kubectl)
    valid = str(CHECKOUT / "tests" / "crd" / "valid")
    started.kubectl("apply", "--server-side", "--force-conflicts", "-f", valid)
    server = Server.of(started.layout)
    print("| kind | field | constraint | accepted | rejected | the user reads |\n|---|---|---|---|---|---|")
    for case in CASES:
        print(_row(server, case))
    server.connection.close()


def _row(server: Server, case: Case) -> str:
    good = server.judge(unnamed(case.accepted, case.path), case.path)
    bad = server.judge(unnamed(case.rejected, case.path), case.path)
    values = ("there", "missing") if isinstance(case, Required) else (case.good, case.bad)
    verdicts = ("" if good.accepted else "REFUSED: ", "ACCEPTED: " if bad.accepted else "")
    shown = [verdict + _short(value) for verdict, value in zip(verdicts, values, strict=True)]
    message = bad.message.partition(" is invalid: ")[2] or bad.message
    cells = [case.kind, case.path, case.keyword, *shown, _short(message, 3 * WIDTH)]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _short(value: object, width: int = WIDTH) -> str:
    text = " ".join((value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).split())
    return text if len(text) <= width else f"{text[: width - 1]}…"


if __name__ == "__main__":
    main()
