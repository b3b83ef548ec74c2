"""What every runtime does, in one order."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from distilbert.engine.model import Model

Array = np.ndarray[Any, np.dtype[Any]]


class Runtime(Protocol):
    """A model that computes batches.

    ``streams`` is how many threads may call ``run`` at once with profit; any number may.
    """

    name: ClassVar[str]

    @property
    def streams(self) -> int: ...

    @classmethod
    def open(cls, model: Model, *, streams: int, threads: int) -> Self:
        """The model with its weights.

        Args:
            model: what to compute.
            streams: batches at once.
            threads: that share one of them.
        """

    def run(self, feed: Mapping[str, Array]) -> Sequence[Array]:
        """What the model gives, in the order and the shapes of its graph's outputs.

        Args:
            feed: ``input_ids`` and ``attention_mask``, of a BERT ``token_type_ids``: int64, [B, S]; where the
                model is told what it is asked about, ``asked`` [B, M].
        """
