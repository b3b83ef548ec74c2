"""Which tokens are hidden from a masked language model, and behind what.

Masks are drawn for each sequence from (seed, epoch, sequence id) alone, so that neither batching nor
accumulation nor the number of processes changes what is learnt.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from distilbert.core.config import IGNORED_LABEL

Ids = np.ndarray[Any, np.dtype[np.int32]]


@dataclass(frozen=True, kw_only=True)
class Masking:
    """How tokens are hidden (Devlin et al. 2019, section 3.1; smoothing: the published distillation).

    Attributes:
        vocab_size: random replacements come from the whole vocabulary.
        mask_token_id: what most hidden tokens become.
        special_ids: tokens that are never hidden.
        rate: the share of each sequence's tokens, special ones not counted, that is hidden.
        mask_share: of those, the share that becomes [MASK].
        keep_share: of those, the share that stays as it is; the rest becomes a random token.
        weights: [V], how likely each token is to be chosen, or None for all alike.
    """

    vocab_size: int
    mask_token_id: int
    special_ids: tuple[int, ...]
    rate: float = 0.15
    mask_share: float = 0.8
    keep_share: float = 0.1
    weights: "np.ndarray[Any, np.dtype[np.float64]] | None" = None

    def __call__(self, ids: Ids, rng: np.random.Generator) -> tuple[Ids, Ids]:
        """Hide some tokens of one sequence; at least one, where there is any that may be.

        Args:
            ids: [S].
            rng: decides everything.

        Returns:
            The ids with tokens hidden, and labels: the true id where one was chosen, elsewhere
            ``IGNORED_LABEL``. Both [S].
        """
        hidden = ids.copy()
        labels = np.full_like(ids, IGNORED_LABEL)
        allowed = np.flatnonzero(~np.isin(ids, self.special_ids))
        if not len(allowed):
            return hidden, labels
        count = max(1, round(self.rate * len(allowed)))
        chosen = rng.choice(allowed, size=count, replace=False, p=self._chances(ids[allowed]))
        labels[chosen] = ids[chosen]
        fate = rng.random(count)
        hidden[chosen[fate < self.mask_share]] = self.mask_token_id
        randomised = chosen[fate >= self.mask_share + self.keep_share]
        hidden[randomised] = rng.integers(0, self.vocab_size, len(randomised), dtype=np.int32)
        return hidden, labels

    def _chances(self, ids: Ids) -> "np.ndarray[Any, np.dtype[np.float64]] | None":
        if self.weights is None:
            return None
        chances = self.weights[ids]
        return chances / chances.sum()


def smoothed_weights(
    sequences: list[Ids], *, vocab_size: int, power: float
) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """How likely each token is to be hidden: its count in the corpus, to the power of ``-power``, [V].

    The published distillation hides rare words more often than frequent ones (``mlm_smoothing`` 0.7).
    """
    counts = np.zeros(vocab_size, np.int64)
    for ids in sequences:
        np.add.at(counts, ids, 1)
    smoothed: np.ndarray[Any, np.dtype[np.float64]] = np.maximum(counts, 1).astype(np.float64) ** -power
    return smoothed


def sequence_rng(seed: int, epoch: int, sequence: int) -> np.random.Generator:
    """The generator of one sequence in one epoch."""
    return np.random.default_rng((seed, epoch, sequence))
