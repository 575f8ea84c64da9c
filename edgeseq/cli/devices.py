"""`edgeseq devices`: which microphones there are."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from ..sources import list_devices


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON line per device.")
def command(as_json: bool) -> None:
    """List the devices that can record; a number or a part of a name goes to stream --device."""
    devices = list_devices()
    if not devices:
        print("no microphones at all; is one plugged in?", file=sys.stderr)
    for device in devices:
        if as_json:
            print(json.dumps(asdict(device), ensure_ascii=False))
        else:
            mark = "  (default)" if device.is_default else ""
            print(
                f"{device.index:3}  {device.name}  {device.channels} ch  "
                f"{device.sample_rate} Hz{mark}"
            )
