"""A whole model from one frozen config, and that config from a recipe's plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..errors import ConfigError
from .base import Chain
from .bytes import ByteEmbeddingConfig
from .frontend import LogMelConfig
from .heads import HeadConfig
from .hybrid import HybridConfig
from .linear_rnn import LinearRnnConfig
from .rnn import GruConfig, LstmConfig
from .transformer import TransformerConfig

__all__ = ["ModelConfig"]

FRONTENDS = {"logmel": LogMelConfig, "bytes": ByteEmbeddingConfig}
ENCODERS = {
    "gru": GruConfig,
    "lstm": LstmConfig,
    "linear": LinearRnnConfig,
    "transformer": TransformerConfig,
    "hybrid": HybridConfig,
}
Encoder = GruConfig | LstmConfig | LinearRnnConfig | TransformerConfig | HybridConfig


def _choose(
    table: Mapping[str, type], values: Mapping[str, Any], where: str
) -> tuple[type, dict[str, Any]]:
    """The config class that `values["kind"]` names, and the remaining values, checked by name."""
    rest = dict(values)
    kind = rest.pop("kind", None)
    if not isinstance(kind, str) or kind not in table:
        raise ConfigError(f"{where}.kind is {kind!r}; allowed: {', '.join(table)}")
    allowed: dict[str, Any] = {f.name: f.default for f in fields(table[kind])}
    for name, value in list(rest.items()):
        if name not in allowed:
            raise ConfigError(
                f"{where}.{name} is unknown for {kind}; allowed: {', '.join(allowed)}"
            )
        if isinstance(allowed[name], tuple):
            if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
                like = list(allowed[name])
                raise ConfigError(f"{where}.{name} is {value!r}; it must be a list like {like}")
            rest[name] = tuple(value)
            continue
        wanted = int if isinstance(allowed[name], int) else (int, float)
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise ConfigError(
                f"{where}.{name} is {value!r}; it must be a number like {allowed[name]}"
            )
    return table[kind], rest


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Frontend, encoder and number of outputs of one model."""

    frontend: LogMelConfig | ByteEmbeddingConfig
    encoder: Encoder
    outputs: int

    @property
    def family(self) -> str:
        """`gru`, `lstm`, `linear`, `transformer` or `hybrid`."""
        return next(name for name, kind in ENCODERS.items() if type(self.encoder) is kind)

    def build(self) -> Chain:
        """The model: `frontend`, `encoder`, `head` in a chain."""
        encoder = self.encoder.build()
        head = HeadConfig(self.outputs, encoder.output_dim).build()
        return Chain([("frontend", self.frontend.build()), ("encoder", encoder), ("head", head)])

    def as_dict(self) -> dict[str, Any]:
        """Plain values that `from_dict` reads back."""
        frontend = next(n for n, kind in FRONTENDS.items() if type(self.frontend) is kind)
        encoder = {
            k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self.encoder).items()
        }
        return {
            "frontend": {"kind": frontend, **asdict(self.frontend)},
            "encoder": {"kind": self.family, **encoder},
            "outputs": self.outputs,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], outputs: int | None = None) -> ModelConfig:
        """Read plain values; the encoder's `input_dim` follows from the frontend.

        Raises:
            ConfigError: a kind or a key is unknown, or a value is out of range.
        """
        if unknown := sorted(set(values) - {"frontend", "encoder", "outputs"}):
            raise ConfigError(
                f"model.{unknown[0]} is unknown; allowed: model.frontend, model.encoder"
            )
        for name in ("frontend", "encoder"):
            if not isinstance(values.get(name), Mapping):
                raise ConfigError(f"model.{name} is missing; it must be a table with a kind")
        front_class, front = _choose(FRONTENDS, values["frontend"], "model.frontend")
        encoder_class, encoder = _choose(ENCODERS, values["encoder"], "model.encoder")
        frontend = front_class(**front)
        encoder["input_dim"] = frontend.mels if isinstance(frontend, LogMelConfig) else frontend.dim
        count = values.get("outputs", outputs)
        if not isinstance(count, int):
            raise ConfigError(f"model.outputs is {count!r}; it must be a whole number")
        return cls(frontend, encoder_class(**encoder), count)
