"""What every runtime does, in one order."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from distilbert.engine.model import Model

Array = np.ndarray[Any, np.dtype[Any]]

#: What products are computed in. What is beside them is in fp32, with "bf16" in that.
PRECISIONS = ("fp32", "bf16", "int8", "int8+bf16")


class Computing(Protocol):
    """A model that computes batches.

    ``streams`` is how many threads may call ``run`` at once with profit; any number may.
    """

    @property
    def name(self) -> str: ...

    @property
    def streams(self) -> int: ...

    @property
    def precision(self) -> str:
        """What it computes in: a name in ``PRECISIONS``."""

    def run(self, feed: Mapping[str, Array]) -> Sequence[Array]:
        """What the model gives, in the order and the shapes of its graph's outputs.

        Args:
            feed: ``input_ids`` and ``attention_mask``, of a BERT ``token_type_ids``: int64, [B, S]; where the
                model is told what it is asked about, ``asked`` [B, M].
        """


class Runtime(Computing, Protocol):
    """One that a library has, in this process."""

    name: ClassVar[str]

    @classmethod
    def open(cls, model: Model, *, precision: str, streams: int, threads: int) -> Self:
        """The model with its weights.

        Args:
            model: what to compute.
            precision: "fp32", or another without whole numbers that the runtime has.
            streams: batches at once.
            threads: that share one of them.
        """

    @classmethod
    def of_files(cls, folder: Path, *, precision: str, streams: int, threads: int) -> Self:
        """A graph that was written for this runtime, out of its folder; the arguments as of ``open``."""
