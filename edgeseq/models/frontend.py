"""Log-mel features as the first layer, so that an exported file takes PCM.

The samples that the next frames still need are part of the state; no frame is ever centred or
padded, so frame `t` is complete as soon as its last sample is there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..errors import ConfigError
from ..spec import BATCH, StateSpec, TensorSpec, Timing
from .base import State, StreamModel

__all__ = ["LogMel", "LogMelConfig"]


@dataclass(frozen=True, slots=True)
class LogMelConfig:
    """Settings of the log-mel layer.

    Attributes:
        sample_rate: samples a second.
        window: samples of one frame (Hann), also the length of the DFT.
        hop: new samples per frame.
        mels: number of bands.
        low_hz: lower edge of the first band.
        high_hz: upper edge of the last band; 3900 keeps telephone-band (8 kHz) audio equal to
            wide-band audio, so that bandwidth cannot become the label.
        floor: power added before the logarithm, relative to full scale (1e-7 is -70 dBFS); levels
            out recordings that differ only in their noise floor.
    """

    sample_rate: int = 16000
    window: int = 512
    hop: int = 320
    mels: int = 40
    low_hz: float = 60.0
    high_hz: float = 3900.0
    floor: float = 1e-7

    def __post_init__(self) -> None:
        """Refuse bands outside what the sample rate can hold."""
        if not 0 <= self.low_hz < self.high_hz <= self.sample_rate / 2:
            raise ConfigError(
                f"log-mel bands {self.low_hz}..{self.high_hz} Hz do not fit "
                f"0..{self.sample_rate / 2} Hz"
            )

    def build(self) -> LogMel:
        """The layer."""
        return LogMel(self)


def mel_filters(config: LogMelConfig) -> npt.NDArray[np.float32]:
    """Triangular mel filters `[bins, mels]`, each summing to one (HTK mel scale).

    `bins` counts the bins of the DFT up to `high_hz`; no band reaches the ones above.

    Source: S. S. Stevens, J. Volkmann, E. B. Newman (1937); formula 2595 log10(1 + f/700) from
    D. O'Shaughnessy, Speech Communication (1987).
    """

    def to_mel(hz: npt.ArrayLike) -> npt.NDArray[np.float64]:
        mel: npt.NDArray[np.float64] = 2595.0 * np.log10(1.0 + np.asarray(hz) / 700.0)
        return mel

    edges = np.linspace(to_mel(config.low_hz), to_mel(config.high_hz), config.mels + 2)
    bin_hz = config.sample_rate / config.window
    bins = to_mel(np.arange(int(config.high_hz / bin_hz) + 1) * bin_hz)
    rising = (bins[:, None] - edges[None, :-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[None, 2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0.0, np.minimum(rising, falling))
    # A band narrower than the bin spacing can miss every bin; give it its nearest bin then.
    empty = np.flatnonzero(filters.sum(0) == 0)
    filters[np.abs(bins[:, None] - edges[1:-1][None, empty]).argmin(0), empty] = 1.0
    return np.asarray(filters / filters.sum(0), dtype=np.float32)


class LogMel(StreamModel):
    """PCM `[B, T, hop]` to normalised log-mel frames `[B, T, mels]`.

    The state `tail` holds the last `window - hop` samples. Cost per frame: one real DFT of
    `window` samples, O(window log window), and one product with the mel filters.
    """

    mean: Tensor
    scale: Tensor
    hann: Tensor
    filters: Tensor

    def __init__(self, config: LogMelConfig) -> None:
        """Build the tables; mean 0 and scale 1 until `fit` is called."""
        super().__init__()
        self.config = config
        self.input_dim = config.hop
        self.output_dim = config.mels
        hann = np.hanning(config.window + 1)[:-1]
        # Scaled so that white noise of power 1 gives power 1 in every band.
        hann = hann / np.sqrt(np.sum(hann**2))
        self.register_buffer("hann", torch.tensor(hann, dtype=torch.float32), persistent=False)
        self.register_buffer("filters", torch.from_numpy(mel_filters(config)), persistent=False)
        self.register_buffer("mean", torch.zeros(config.mels))
        self.register_buffer("scale", torch.ones(config.mels))

    @property
    def state_spec(self) -> StateSpec:
        """`tail`: samples that later frames still see."""
        tail = self.config.window - self.config.hop
        return StateSpec((TensorSpec("tail", (BATCH, tail)),) if tail else ())

    @property
    def timing(self) -> Timing:
        """Window and hop in samples."""
        c = self.config
        return Timing(c.sample_rate, c.window, c.hop, left_context=0)

    @property
    def receptive_field(self) -> int | None:
        """Frames before the newest that the window reaches into."""
        return -(-(self.config.window - self.config.hop) // self.config.hop)

    def macs_per_frame(self) -> int:
        """Real FFT as window/2 log2(window) complex butterflies of 2 MACs, plus the filters."""
        c = self.config
        nonzero = int(np.count_nonzero(mel_filters(c)))
        return c.window + int(c.window * np.log2(c.window)) + c.window + 2 + nonzero

    def log_power(self, frames: Tensor) -> Tensor:
        """Windows of samples `[B, T, window]` to log band power `[B, T, mels]`, not normalised."""
        spectrum = torch.view_as_real(torch.fft.rfft(frames * self.hann))
        power = spectrum[..., : self.filters.shape[0], :].square().sum(-1)
        return torch.log(power @ self.filters + self.config.floor)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """New samples `[B, T, hop]` to frames `[B, T, mels]`."""
        batch, frames, _ = x.shape
        c = self.config
        overlap = c.window - c.hop
        signal = x.reshape(batch, frames * c.hop)
        if overlap:
            signal = torch.cat([state["tail"], signal], dim=1)
        windows = signal.unsqueeze(1) if frames == 1 else signal.unfold(1, c.window, c.hop)
        features = (self.log_power(windows) - self.mean) * self.scale
        after = {"tail": signal[:, signal.shape[1] - overlap :]} if overlap else {}
        return features, after

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Set mean and scale so that the frames of `x` `[B, T, hop]` are normalised."""
        self.mean.zero_()
        self.scale.fill_(1.0)
        features, _ = self.forward(x, self.initial_state(x.shape[0]))
        flat = features.reshape(-1, self.config.mels)
        self.mean.copy_(flat.mean(0))
        self.scale.copy_(1.0 / flat.std(0).clamp_min(1e-3))

    def initial_state(self, batch: int = 1) -> State:
        """Silence before the stream, on the device of the tables."""
        return {
            t.name: torch.zeros(t.bound(batch), device=self.hann.device) for t in self.state_spec
        }
