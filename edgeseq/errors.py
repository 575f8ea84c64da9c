"""Every error edgeseq raises on purpose.

    EdgeseqError
    ├── ConfigError         (ValueError)    a recipe, option or model config is wrong
    ├── ManifestError       (ValueError)    a model file is missing, damaged or of another format
    ├── StateError          (ValueError)    a state or step input has another name, shape or dtype
    ├── AudioError          (OSError)       a file, pipe or device does not give usable audio
    ├── StreamClosedError   (RuntimeError)  push or flush after close
    ├── ExportError         (RuntimeError)  a model cannot be exported as asked
    │   └── ParityError                     two lives of one model give different numbers
    ├── MissingExtraError   (ImportError)   an optional dependency is not installed
    └── ToolError           (RuntimeError)  a program such as a compiler is missing or failed
        └── MissingToolError                it is not installed

A message says what was wrong, the value, what is allowed and what to do.
"""

__all__ = [
    "AudioError",
    "ConfigError",
    "EdgeseqError",
    "ExportError",
    "ManifestError",
    "MissingExtraError",
    "MissingToolError",
    "ParityError",
    "StateError",
    "StreamClosedError",
    "ToolError",
]


class EdgeseqError(Exception):
    """Base of all errors that edgeseq raises on purpose.

    Names and values in a message may come from a stranger's file: what would end the line or steer
    a terminal is shown as an escape.
    """

    def __str__(self) -> str:
        """The message, on one line."""
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in super().__str__())


class ConfigError(EdgeseqError, ValueError):
    """A recipe, an option or a model config holds a value that is not allowed."""


class ManifestError(EdgeseqError, ValueError):
    """A model file is missing, damaged, or its manifest is not what this version reads."""


class StateError(EdgeseqError, ValueError):
    """A state or a step input differs from its spec in name, shape or dtype."""


class AudioError(EdgeseqError, OSError):
    """A file, pipe or device does not give usable audio."""


class StreamClosedError(EdgeseqError, RuntimeError):
    """A stream was used after it was closed."""


class ExportError(EdgeseqError, RuntimeError):
    """A model cannot be exported as asked."""


class ParityError(ExportError):
    """Two lives of one model (torch, file, golden) give different numbers."""


class MissingExtraError(EdgeseqError, ImportError):
    """An optional dependency is missing; the message names the extra that brings it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        """Say that `package`, needed for `purpose`, comes with the extra `extra`."""
        super().__init__(
            f"{purpose} needs {package}, which is not installed; "
            f"install it with: pip install 'edgeseq[{extra}]'"
        )


class ToolError(EdgeseqError, RuntimeError):
    """A program of the system, such as a compiler or an emulator, failed or is missing."""


class MissingToolError(ToolError):
    """A program of the system is not installed; the message names the package that brings it."""

    def __init__(self, program: str, package: str) -> None:
        """Say that `program` comes with the Debian package `package`."""
        super().__init__(f"{program} is not installed; install it with: apt install {package}")
