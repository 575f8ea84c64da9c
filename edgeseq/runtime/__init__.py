"""Running exported models step by step; a backend is imported when a Session is made."""

from .model_file import read_manifest
from .session import Session, golden_arrays

__all__ = ["Session", "golden_arrays", "read_manifest"]
