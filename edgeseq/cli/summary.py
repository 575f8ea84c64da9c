"""What is said at the end of a stream."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..profile.memory import peak_rss
from ..sources import Microphone
from .follow import Run, Track

__all__ = ["Summary", "summarise"]


@dataclass(frozen=True, slots=True)
class Summary:
    """Sums over a run.

    Attributes:
        models: step times, real-time factor and counts of events of each model.
        stream_seconds: audio time including what was lost; None for text.
        stream_bytes: bytes of text; None for audio.
        peak_rss_bytes: most memory of this process.
        lost_samples: samples of the source that were lost.
        repaired_samples: samples that were no numbers and became 0.
        device: the counts of a microphone's Health; None for other sources.
        notes: what the source wants known.
        interrupted: whether Ctrl-C or SIGTERM ended it.
    """

    models: list[dict[str, Any]]
    stream_seconds: float | None
    stream_bytes: int | None
    peak_rss_bytes: int
    lost_samples: int
    repaired_samples: int
    device: dict[str, Any] | None
    notes: list[str]
    interrupted: bool

    def lines(self) -> list[dict[str, object]]:
        """One plain object per model, with the sums that all share."""
        shared = {
            "stream_seconds": self.stream_seconds,
            "stream_bytes": self.stream_bytes,
            "peak_rss_bytes": self.peak_rss_bytes,
            "lost_samples": self.lost_samples,
            "repaired_samples": self.repaired_samples,
            "device": self.device,
            "notes": self.notes,
            "interrupted": self.interrupted,
        }
        return [
            {"model": model["model"], "event": "summary", **model, **shared}
            for model in self.models
        ]


def summarise(run: Run, interrupted: bool) -> Summary:
    """Sums of `run`, after its flush."""
    text = run.source.sample_rate is None
    seconds = max(track.stream.seconds for track in run.tracks)
    lost, device = run.lost, None
    if isinstance(run.source, Microphone):
        # It also knows of what it lost after the last block.
        lost, device = max(lost, run.source.lost_samples), asdict(run.source.health)
    return Summary(
        models=[_model(track) for track in run.tracks],
        stream_seconds=None if text else round(seconds, 6),
        stream_bytes=run.pushed if text else None,
        peak_rss_bytes=peak_rss(),
        lost_samples=lost,
        repaired_samples=max(track.stream.repaired for track in run.tracks),
        device=device,
        notes=list(run.source.notes),
        interrupted=interrupted,
    )


def _model(track: Track) -> dict[str, Any]:
    clock, bits = track.stream.clock, track.bits.value
    return {
        "model": track.name,
        "events": dict(track.counts),
        "steps": clock.steps,
        "step_p50_ms": round(clock.p50_ms, 6),
        "step_p99_ms": round(clock.p99_ms, 6),
        "step_max_ms": round(clock.max_ms, 6),
        "rtf": None if track.rtf is None else round(track.rtf, 6),
        "bits_per_byte": None if bits is None else round(bits, 6),
    }
