"""Choosing the next token of a text from logits."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, StateError
from .base import Logits

__all__ = ["Sampler"]


class Sampler:
    """Draws tokens; the same seed and the same logits give the same tokens.

    Logits are divided by `temperature`; of the `top_k` likeliest tokens then only the fewest that
    together reach `top_p` stay (Holtzman et al. 2020, nucleus sampling), at least one. Among
    equally likely tokens the lower number comes first.
    """

    def __init__(
        self, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, seed: int = 0
    ) -> None:
        """Begin a sequence of draws.

        Args:
            temperature: 0 always takes the likeliest token, 1 draws as the model says.
            top_k: how many tokens may be drawn; 0 for all.
            top_p: probability, above 0 up to 1, that the tokens which may be drawn reach.
            seed: of the draws, from 0.

        Raises:
            ConfigError: a value is not allowed.
        """
        if not 0 <= temperature < math.inf:
            raise ConfigError(f"temperature is {temperature:g}, must be 0 or more, and finite")
        if top_k < 0:
            raise ConfigError(f"top_k is {top_k}, must be 0 (all tokens) or more")
        if not 0 < top_p <= 1:
            raise ConfigError(f"top_p is {top_p:g}, must be above 0 and at most 1")
        if seed < 0:
            raise ConfigError(f"seed is {seed}, must be 0 or more")
        self._temperature, self._top_k, self._top_p = temperature, top_k, top_p
        self._draw = np.random.default_rng(seed)

    def kept(self, logits: Logits) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
        """Tokens that may be drawn from `logits` `[V]`, the likeliest first, and probabilities.

        Raises:
            StateError: a logit is not finite.
        """
        if not np.isfinite(logits).all():
            raise StateError("logits are not finite, so there is no next token; export it again")
        order = np.argsort(-logits, kind="stable")
        if self._temperature == 0:
            return order[:1], np.ones(1)
        if self._top_k:
            order = order[: self._top_k]
        scores = logits[order].astype(np.float64)
        # Below any sum of two floats; a very small temperature must not divide 0 by 0.
        p = np.exp((scores - scores[0]) / max(self._temperature, 1e-300))
        p /= p.sum()
        if self._top_p < 1:
            count = 1 + int(np.searchsorted(np.cumsum(p), self._top_p))
            order, p = order[:count], p[:count]
            p = p / p.sum()
        return order, p

    def sample(self, logits: Logits) -> int:
        """The next token, from `logits` `[V]`; StateError when one is not finite."""
        if self._temperature == 0 and np.isfinite(logits).all():
            return int(np.argmax(logits))
        tokens, p = self.kept(logits)
        at = int(np.searchsorted(np.cumsum(p), self._draw.random(), side="right"))
        # Rounding can leave the sum a little below 1.
        return int(tokens[min(at, len(tokens) - 1)])
