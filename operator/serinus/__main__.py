"""`python -m serinus`: says which version this is."""

import argparse

from serinus import __version__


def main() -> None:
    """Parse the command line; `--version` is all there is to ask for."""
    parser = argparse.ArgumentParser(prog="serinus", description="Kubernetes-native ML platform on MLflow")
    parser.add_argument("--version", action="version", version=f"serinus {__version__}")
    parser.parse_args()
    parser.print_help()


if __name__ == "__main__":
    main()
