"""The same models and recording as for the command line."""

from tests.cli.conftest import kit

__all__ = ["kit"]
