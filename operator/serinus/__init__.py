"""Serinus: from training code to safe production traffic, with MLflow as the source of truth."""

from importlib.metadata import version

__version__ = version("serinus")
