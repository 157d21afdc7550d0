"""`interlock version`: what runs here. The number stands in pyproject.toml alone."""

from __future__ import annotations

import platform
from argparse import ArgumentParser, Namespace
from importlib.metadata import PackageNotFoundError, version


def arguments(parser: ArgumentParser) -> None:
    """Nothing to say."""


def run(options: Namespace) -> int:  # noqa: ARG001 - every command has it
    """Print the versions of Interlock, its rule engine and Python."""
    print(f"interlock {_version('interlock')} (cedarpy {_version('cedarpy')}, Python {platform.python_version()})")
    return 0


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
