"""Streaming models in PyTorch: one `forward(x, state)` for whole clips and for chunks."""

from .base import Chain, State, StreamModel
from .bytes import ByteEmbeddingConfig
from .config import ModelConfig
from .frontend import LogMelConfig
from .heads import HeadConfig
from .hybrid import HybridConfig
from .linear_rnn import LinearRnnConfig
from .rnn import GruConfig, LstmConfig
from .transformer import TransformerConfig

__all__ = [
    "ByteEmbeddingConfig",
    "Chain",
    "GruConfig",
    "HeadConfig",
    "HybridConfig",
    "LinearRnnConfig",
    "LogMelConfig",
    "LstmConfig",
    "ModelConfig",
    "State",
    "StreamModel",
    "TransformerConfig",
]
