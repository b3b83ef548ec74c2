"""Which tokens are hidden from a masked language model, and behind what.

Masks are drawn for each sequence from (seed, epoch, sequence id) alone, so that neither batching nor
accumulation nor the number of processes changes what is learnt.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from distilbert.core.config import IGNORED_LABEL
from distilbert.errors import ConfigError

Ids = np.ndarray[Any, np.dtype[np.int32]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
Numbers = np.ndarray[Any, np.dtype[np.float64]]

#: What is hidden together.
UNITS = ("token", "word", "span")

#: How often each length of a span is drawn, from one word to ten: a geometric distribution, cut off there
#: and not heaped up (Joshi et al. 2020, section 3.1: p 0.2, a mean of 3.8 words).
_SPAN_END, _LONGEST_SPAN = 0.2, 10
SPAN_LENGTHS: Numbers = (1 - _SPAN_END) ** np.arange(_LONGEST_SPAN, dtype=np.float64)
SPAN_LENGTHS /= SPAN_LENGTHS.sum()
_UP_TO: Numbers = SPAN_LENGTHS.cumsum()


@dataclass(frozen=True, kw_only=True)
class Masking:
    """How tokens are hidden (Devlin et al. 2019, section 3.1; smoothing: the published distillation).

    Attributes:
        vocab_size: random replacements come from the whole vocabulary.
        mask_token_id: what most hidden tokens become.
        special_ids: tokens that are never hidden.
        rate: the share of each sequence's tokens, special ones not counted, that is hidden. Whole words are
            hidden as long as they fit that number, and one in any case.
        mask_share: of those, the share that becomes [MASK].
        keep_share: of those, the share that stays as it is; the rest becomes a random token.
        weights: [V], how likely each token is to be chosen, or None for all alike. A word is as likely as its
            tokens are on average, a span as its first word.
        unit: "token"; "word": a word's pieces are hidden together, and each becomes something by itself
            (whole-word masking of the published BERT); "span": up to ten words in a row are hidden together,
            and all become something of one kind (Joshi et al. 2020).
        continues: [V], the tokens that go on with a word: ``continuing_pieces``. Words and spans need it.

    Raises:
        ConfigError: another unit, or words without ``continues``.
    """

    vocab_size: int
    mask_token_id: int
    special_ids: tuple[int, ...]
    rate: float = 0.15
    mask_share: float = 0.8
    keep_share: float = 0.1
    weights: Numbers | None = None
    unit: str = "token"
    continues: Flags | None = None

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ConfigError(
                f"What is hidden together must be one of {', '.join(UNITS)}.",
                received=f"unit={self.unit!r:.80}",
                remedy="Choose one of these.",
            )
        if self.unit != "token" and self.continues is None:
            raise ConfigError(
                "Whole words are hidden by knowing which tokens go on with one.",
                received=f"unit={self.unit!r} without continues",
                remedy="Give continues=continuing_pieces(tokenizer.get_vocab(), vocab_size=...).",
            )

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
        allowed = np.flatnonzero(self._may_hide[ids])
        if not len(allowed):
            return hidden, labels
        count = max(1, round(self.rate * len(allowed)))
        if self.unit == "token":
            chosen = rng.choice(allowed, size=count, replace=False, p=self._chances(ids[allowed]))
            fate = rng.random(count)
        else:
            chosen, fate = self._whole_words(ids, allowed, count, rng)
        labels[chosen] = ids[chosen]
        hidden[chosen[fate < self.mask_share]] = self.mask_token_id
        randomised = chosen[fate >= self.mask_share + self.keep_share]
        hidden[randomised] = rng.integers(0, self.vocab_size, len(randomised), dtype=np.int32)
        return hidden, labels

    def count_words(self, ids: Ids, labels: Ids) -> int:
        """How many words are hidden, where they are hidden whole.

        Args:
            ids: of a sequence before that, [S].
            labels: of it, [S].
        """
        assert self.continues is not None
        at = np.flatnonzero(labels != IGNORED_LABEL)
        begins = ~self.continues[ids[at]] | ~self._may_hide[ids[at - 1]] | (at == 0)
        return int(np.count_nonzero(begins))

    @cached_property
    def _may_hide(self) -> Flags:
        """By token, [V]: a look-up costs a tenth of a search through the special ones."""
        found = np.ones(max(self.vocab_size, 1 + max(self.special_ids, default=0)), bool)
        found[list(self.special_ids)] = False
        return found

    def _chances(self, ids: Ids) -> Numbers | None:
        if self.weights is None:
            return None
        chances = self.weights[ids]
        return chances / chances.sum()

    def _whole_words(
        self, ids: Ids, allowed: Indices, count: int, rng: np.random.Generator
    ) -> tuple[Indices, Numbers]:
        """The places that are hidden, and a number for each that decides what it becomes."""
        assert self.continues is not None
        # A word begins at a token that goes on with none, and behind a token that is never hidden.
        begins = ~self.continues[ids[allowed]]
        begins[0] = True
        begins[1:] |= allowed[1:] - allowed[:-1] > 1
        word = begins.cumsum() - 1
        sizes = np.bincount(word)
        order = self._order(ids[allowed], word, sizes, rng)
        if self.unit == "word":
            part = _some_words(order, sizes, count)
            chosen = part[word] >= 0
            return allowed[chosen], rng.random(int(chosen.sum()))
        first = allowed[begins]
        apart = np.ones(len(first), bool)
        apart[:-1] = first[1:] - first[:-1] != sizes[:-1]
        lengths = span_lengths(count, rng)
        part = _some_spans(order, sizes, count, lengths, apart)
        chosen = part[word] >= 0
        return allowed[chosen], rng.random(count)[part[word[chosen]]]

    def _order(self, ids: Ids, word: Indices, sizes: Indices, rng: np.random.Generator) -> Indices:
        """The words in the order in which they are to be hidden."""
        if self.weights is None:
            return rng.permutation(len(sizes))
        means = np.bincount(word, weights=self.weights[ids]) / sizes
        # The first of several exponential clocks to ring is each with the chance of its rate.
        order: Indices = np.argsort(rng.standard_exponential(len(sizes)) / means)
        return order


def span_lengths(count: int, rng: np.random.Generator) -> Indices:
    """How many words each of ``count`` spans has, drawn from ``SPAN_LENGTHS``."""
    # The last bound is left out: rounding must not make an eleventh word of a number close to 1.
    return 1 + np.searchsorted(_UP_TO[:-1], rng.random(count), side="right")


def _some_words(order: Indices, sizes: Indices, count: int) -> Indices:
    """0 for the words that are hidden and -1 for others: in order, those that fit ``count`` tokens."""
    part = np.full(len(sizes), -1)
    in_order = sizes[order]
    seen = int(np.searchsorted(np.cumsum(in_order), count, side="right"))
    part[order[:seen]] = 0
    left = count - int(in_order[:seen].sum())
    while left:
        fitting = np.flatnonzero(in_order[seen:] <= left)
        if not len(fitting):
            break
        seen += int(fitting[0]) + 1
        part[order[seen - 1]] = 0
        left -= int(in_order[seen - 1])
    if left == count:  # every word is longer than that
        part[order[0]] = 0
    return part


def _some_spans(order: Indices, sizes: Indices, count: int, lengths: Indices, apart: Flags) -> Indices:
    """The number of each hidden word's span, and -1 for words that are not hidden.

    Args:
        order: the words in the order in which spans begin at them.
        sizes: of the words, in tokens.
        count: of tokens; where it is reached the last span ends, after a whole word.
        lengths: of one span after the other, in words.
        apart: whether something that is never hidden stands behind a word, and ends a span.
    """
    part, size, ends = [-1] * len(sizes), sizes.tolist(), apart.tolist()
    words, left, spans = lengths.tolist(), count, 0
    for word in order.tolist():
        if part[word] >= 0 or size[word] > left:
            continue
        for _ in range(words[spans]):
            part[word] = spans
            left -= size[word]
            word += 1
            if ends[word - 1] or part[word] >= 0 or size[word] > left:
                break
        spans += 1
        if not left:
            break
    if not spans:  # every word is longer than that
        part[int(order[0])] = 0
    return np.array(part)


def continuing_pieces(vocabulary: Mapping[str, int], *, vocab_size: int, prefix: str = "##") -> Flags:
    """Which tokens go on with the word of the token before them, [V].

    Args:
        vocabulary: ids by token, such as a tokenizer's ``get_vocab()``.
        vocab_size: V, the model's.
        prefix: what such tokens begin with.
    """
    found = np.zeros(max(vocab_size, 1 + max(vocabulary.values(), default=0)), bool)
    found[[number for token, number in vocabulary.items() if token.startswith(prefix)]] = True
    return found


def smoothed_weights(counts: Indices, *, power: float) -> Numbers:
    """How likely each token is to be hidden: its count in the corpus, to the power of ``-power``, [V].

    The published distillation hides rare words more often than frequent ones (``mlm_smoothing`` 0.7).
    """
    smoothed: Numbers = np.maximum(counts, 1).astype(np.float64) ** -power
    return smoothed


def sequence_rng(seed: int, epoch: int, sequence: int) -> np.random.Generator:
    """The generator of one sequence in one epoch."""
    return np.random.default_rng((seed, epoch, sequence))
