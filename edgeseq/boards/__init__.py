"""Processors that QEMU emulates, and how C programs are built for them and run there."""

from .board import BOARDS, Board

__all__ = ["BOARDS", "Board"]
