"""Schemes of one model against its float form: files, gates, sensitivity, and a mixed plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeseq.errors import ExportError
from edgeseq.profile.evaluate import Data, Score, evaluate
from edgeseq.runtime import Session

from .blocks4 import Rounder
from .gates import check_scheme, moved
from .requantize import FloatModel, write_as
from .schemes import SCHEMES, apply_plan, plan_for
from .weights import Weight

__all__ = ["STUDIED", "Effect", "Made", "Study"]

STUDIED = ("int8", "int4")
"""Forms whose effect is looked at weight by weight."""

MOST_CLIPS = 300
"""Clips of a folder that sensitivity is measured on; every clip counts for the schemes."""


@dataclass(frozen=True, slots=True)
class Made:
    """A file of one scheme.

    Attributes:
        scheme: its name.
        path: where it lies.
        score: what it reaches on the data.
        moved: share of the probability that it moves to other labels, in the mean frame.
        refused: why it must not be used; "" for nothing.
    """

    scheme: str
    path: Path
    score: Score
    moved: float
    refused: str


@dataclass(frozen=True, slots=True)
class Effect:
    """What one weight in one form does, all others being float.

    Attributes:
        weight: the matrix.
        form: int8 or int4.
        moved: share of the probability that moves.
        loss: what the metric loses; may be below 0 by chance.
    """

    weight: Weight
    form: str
    moved: float
    loss: float


class Study:
    """One float model, the data it is judged on, and what quantization makes of it."""

    def __init__(
        self,
        model: FloatModel,
        float_file: Path,
        data: Data,
        chunks: Sequence[npt.NDArray[Any]],
        folder: Path,
    ) -> None:
        """Judge the float file.

        Args:
            model: what is quantized.
            float_file: its float file.
            data: what the metric is measured on.
            chunks: real input that probabilities are compared on.
            folder: where files are written.
        """
        self.model, self.data = model, data
        self._chunks, self._folder = chunks, folder
        self._rounder = Rounder(model.inputs)
        session = Session(float_file)
        self._logits = self._run(session)
        self.base = Made("none", float_file, evaluate(session, data), 0.0, "")
        self._few = data.part(MOST_CLIPS)
        self._few_base = self.base.score if self._few is data else evaluate(session, self._few)

    def _run(self, session: Session) -> npt.NDArray[np.float32]:
        stepper = session.stepper()
        return np.concatenate([stepper.step(x).copy() for x in self._chunks], axis=1)

    def _file(self, plan: Mapping[str, str], scheme: str, name: str) -> Path:
        graph = apply_plan(self.model.graph, self.model.weights, plan, self._rounder)
        path = self._folder / f"{name}.onnx"
        write_as(self.model, graph, scheme, path)
        return path

    def make(
        self, scheme: str, most_loss: float | None, plan: Mapping[str, str] | None = None
    ) -> Made:
        """The file of a scheme, judged; `plan` is that of the scheme `mixed`."""
        if plan is None:
            plan = plan_for(self.model.weights, SCHEMES[scheme])
        path = self._file(plan, scheme, scheme)
        session = Session(path)
        logits, score = self._run(session), evaluate(session, self.data)
        refused = ""
        try:
            check_scheme(self._logits, logits, scheme)
        except ExportError as error:
            refused = str(error)
        loss = self.base.score.loss(score)
        if not refused and most_loss is not None and loss > most_loss:
            refused = f"{scheme} loses {loss:.2f}, at most {most_loss:g} is allowed (--max-loss)"
        return Made(scheme, path, score, moved(self._logits, logits), refused)

    def effects(self, tell: Callable[[float, str], None]) -> list[Effect]:
        """Each weight alone in each form of STUDIED; `tell` takes the share done and words."""
        found, done = [], 0
        cases = list(self._cases())
        for weight, form in cases:
            tell(done / len(cases), f"{weight.name} as {form}")
            done += 1
            plan = plan_for(self.model.weights, "float") | {weight.name: form}
            session = Session(self._file(plan, "mixed", "alone"))
            share = moved(self._logits, self._run(session))
            loss = self._few_base.loss(evaluate(session, self._few))
            found.append(Effect(weight, form, share, loss))
        return found

    def _cases(self) -> Iterator[tuple[Weight, str]]:
        for weight in self.model.weights:
            for form in STUDIED:
                if form == "int8" or weight.kind == "product":
                    yield weight, form

    def mixed_plan(
        self, effects: Sequence[Effect], most_loss: float, tell: Callable[[float, str], None]
    ) -> dict[str, str]:
        """The plan that begins with four bits everywhere and keeps what hurts most in more.

        The weight with the strongest effect goes from int4 to int8 first, and so on until the loss
        is within bounds; where int8 everywhere is not enough, they go on to float in the same way.
        """
        plan = plan_for(self.model.weights, "int4")
        steps = [
            (effect.weight.name, "int8" if form == "int4" else "float")
            for form in ("int4", "int8")
            for effect in sorted(
                (e for e in effects if e.form == form),
                key=lambda e: (e.moved, e.weight.name),
                reverse=True,
            )
        ]
        for n, (name, form) in enumerate([("", ""), *steps]):
            if name:
                plan[name] = form
            tell(n / (len(steps) + 1), f"{name or 'all weights'} as {form or 'int4'}")
            made = self.make("mixed", most_loss, plan)
            if not made.refused:
                return plan
        raise ExportError(
            f"no mixture loses at most {most_loss:g}: the float form in this file does already, "
            "which should not be; please report it"
        )
