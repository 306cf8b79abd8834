"""`serinus-server serve` and `serinus-server fetch`: the second is for an init container, the first does both."""

import argparse
import faulthandler
import sys

from serinus_server import threads
from serinus_server.problems import ModelProblem
from serinus_server.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; 1 if the model cannot be served, with the reason where kubectl shows it."""
    parser = argparse.ArgumentParser(prog="serinus-server", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("serve", help="fetch the model of MODEL_URI if it is not there, and serve it")
    verbs.add_parser("fetch", help="fetch the model of MODEL_URI into MODEL_CACHE, and rebuild its packages if asked")
    verb = parser.parse_args(arguments).verb
    faulthandler.enable()
    # Before numpy: its linear algebra asks once, when it is imported.
    threads.limit()
    from serinus_server import logs, starting

    try:
        settings = Settings.read()
        logs.configure(settings.log_level)
        starting.fetch(settings) if verb == "fetch" else starting.serve(settings)
    except ModelProblem as problem:
        starting.tell(problem)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
