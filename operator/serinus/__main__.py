"""`python -m serinus`: the operator, told by its environment (docs/reference/settings.md)."""

import argparse
import sys

from serinus import __version__


def main() -> int:
    """Run the operator; the exit status is 2 if its settings are wrong."""
    parser = argparse.ArgumentParser(
        prog="serinus", description="The Serinus operator. Its settings are environment variables, SERINUS_*."
    )
    parser.add_argument("--version", action="version", version=f"serinus {__version__}")
    parser.parse_args()
    # Imported late: `--version` answers at once.
    from serinus.main import main as run  # noqa: PLC0415
    from serinus.ports import KubeError  # noqa: PLC0415
    from serinus.settings import SettingsError  # noqa: PLC0415

    try:
        run()
    except (SettingsError, KubeError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
