"""Measuring step time, memory and the machine."""
