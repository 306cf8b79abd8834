"""`python -m serinus_fetch`: the order in the environment, the result in a file, what happens on stdout.

SERINUS_FETCH holds the order. SERINUS_RESULT says where the result goes, SERINUS_ROOT where the volumes are mounted;
both are for tests. It ends with 0 if all is well, with 65 if trying again would not help, with 1 if it may.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Final, NoReturn

from serinus_fetch import order, work
from serinus_fetch.failures import Failure, Permanent, Reason
from serinus_fetch.log import say
from serinus_fetch.places import Places
from serinus_fetch.result import Outcome, encoded, exit_code

RESULT: Final = "/dev/termination-log"
READABLE_BY_ALL: Final = 0o022


def main() -> int:
    """Fetch what the environment orders; the exit code."""
    signal.signal(signal.SIGTERM, _end)
    os.umask(READABLE_BY_ALL)
    outcome = _outcome()
    Path(os.environ.get("SERINUS_RESULT", RESULT)).write_bytes(encoded(outcome))
    return exit_code(outcome)


def _outcome() -> Outcome:
    try:
        wanted = order.parse(os.environ.get(order.VARIABLE, ""))
    except Permanent as error:
        say(f"error: {error}")
        return Outcome(failures=(Failure(Reason.INPUT_UNREADABLE, str(error)),))
    return work.do(wanted, Places(Path(os.environ.get("SERINUS_ROOT", "/serinus"))), os.environ)


def _end(signal_number: int, _: object) -> NoReturn:
    """The first process of a container has no default for SIGTERM; nothing here is worth finishing."""
    os._exit(128 + signal_number)


if __name__ == "__main__":
    sys.exit(main())
