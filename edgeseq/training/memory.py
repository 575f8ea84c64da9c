"""What a training step keeps in memory, counted tensor by tensor, on any device or on none.

Only tensors are counted: not the workspace inside an operator, the allocator's rounding, or the
libraries.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["StepMemory", "TrainingMemory", "bytes_of", "optimizer_tensors"]


@dataclass(frozen=True, slots=True)
class TrainingMemory:
    """Bytes of one training step.

    Attributes:
        parameters: trained weights.
        gradients: one number for each weight.
        optimizer: what the optimiser remembers of each weight.
        average: the moving average of the weights that is exported in the end.
        activations: what the forward pass keeps for the backward pass, without weights.
        peak: most bytes of tensors alive at once in the step, all of the above and what is needed
            for a moment; less than their sum, since activations go while gradients come.
    """

    parameters: int
    gradients: int
    optimizer: int
    average: int
    activations: int
    peak: int

    @classmethod
    def of(
        cls,
        weights: Sequence[Tensor],
        optimizer: torch.optim.Optimizer,
        average: Iterable[Tensor],
        step: StepMemory,
    ) -> Self:
        """That of a `step` of training that has ended."""
        return cls(
            parameters=bytes_of(weights),
            gradients=bytes_of(p.grad for p in weights if p.grad is not None),
            optimizer=bytes_of(optimizer_tensors(optimizer)),
            average=bytes_of(average),
            activations=step.activations,
            peak=step.peak,
        )


def _key(tensor: Tensor) -> int:
    """The same for all views of one storage, fake tensors included, which have no address."""
    return int(tensor.untyped_storage()._cdata)


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """Bytes of the storages of `tensors`, each counted once."""
    return sum({_key(t): t.untyped_storage().nbytes() for t in tensors}.values())


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """All tensors that an optimiser remembers."""
    return [leaf for leaf in tree_leaves(dict(optimizer.state)) if isinstance(leaf, Tensor)]


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Bytes of storages that live: those given, and those that operators make."""

    def __init__(self, standing: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self.known: set[int] = set()
        self.see(standing)

    def see(self, leaves: Iterable[object]) -> None:
        """Count the tensors among `leaves` whose storage is not counted yet."""
        for leaf in leaves:
            if not isinstance(leaf, Tensor) or leaf.layout != torch.strided:
                continue
            key, storage = _key(leaf), leaf.untyped_storage()
            if key not in self.known:
                self.known.add(key)
                self.now += storage.nbytes()
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self._forget, key, storage.nbytes())

    def _forget(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        self.see(tree_leaves(made))
        return made


class StepMemory:
    """A context for one training step: what it keeps for the backward pass, and its peak.

    Args:
        model: its weights and buffers are no activations.
        standing: tensors alive before the step, such as gradients and the optimiser's.
    """

    def __init__(self, model: nn.Module, standing: Iterable[Tensor]) -> None:
        """Begin to count when entered."""
        own = [*model.parameters(), *model.buffers()]
        self._own = {_key(t) for t in own}
        self._live = _LiveBytes([*own, *standing])
        self._kept: dict[int, int] = {}
        self._stack = ExitStack()

    def _keep(self, tensor: Tensor) -> Tensor:
        if tensor.layout == torch.strided and _key(tensor) not in self._own:
            self._kept[_key(tensor)] = tensor.untyped_storage().nbytes()
        return tensor

    def __enter__(self) -> Self:
        """Watch operators and what autograd keeps of them."""
        self._stack.enter_context(self._live)
        self._stack.enter_context(saved_tensors_hooks(self._keep, lambda tensor: tensor))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop watching."""
        self._stack.__exit__(kind, error, trace)

    @property
    def activations(self) -> int:
        """Bytes that autograd kept, weights and buffers left out."""
        return sum(self._kept.values())

    @property
    def peak(self) -> int:
        """Most bytes alive at once."""
        return self._live.peak
