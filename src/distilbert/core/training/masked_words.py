"""Learning to tell hidden words, alone or from a teacher: what is read, hidden and compared, step by step."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from distilbert.core import flops
from distilbert.core.config import IGNORED_LABEL, EncoderConfig
from distilbert.core.data.answers import Answers
from distilbert.core.data.collate import Ids, endless_batches
from distilbert.core.data.corpus import Corpus
from distilbert.core.data.hidden_words import masking_of, what_is_asked
from distilbert.core.data.masking import Masking, sequence_rng
from distilbert.core.recipe import LanguageModelling
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.training.course import MicroBatch, Rows, parts
from distilbert.errors import ConfigError

#: What the sequences that are held out are hidden by: no epoch's number.
HELD_OUT = 2**31

#: Terms that compare distributions over the vocabulary.
OF_DISTRIBUTIONS = ("distribution", "jensen_shannon", "logits_error")


class Hidden(NamedTuple):
    """Some sequences with words hidden.

    Attributes:
        rows: their numbers.
        epoch: by which they are hidden.
        true: their ids.
        ids: the same with words hidden.
        labels: of all tokens end to end, ``IGNORED_LABEL`` where none is hidden, [T].
        heard: the tokens at which states are compared.
        compared: the tokens whose words a term scores.
    """

    rows: Rows
    epoch: int
    true: list[Ids]
    ids: list[Ids]
    labels: Rows
    heard: Rows
    compared: Rows


class HiddenWords:
    """The objective: hidden words, and with teachers their distributions over them and their last states.

    The triple loss of Sanh et al. 2019, section 2. Abstract: a wing says how sequences become its arrays, and
    what they cost.

    Args:
        model: learns.
        teachers: are listened to; their weights add up to 1.
        data: the sequences; with their texts, if a teacher reads them its own way.
        tokenizer: says which ids are special.
        recipe: weights, temperature, masking, and where the teachers are listened to.
        held_out: so many sequences, drawn by the seed, are only judged by.
        answers: of a teacher who was asked beforehand, in the place of one who is.

    Raises:
        ConfigError: terms that answers cannot give.
    """

    def __init__(
        self,
        model: Any,
        teachers: Sequence[Any],
        data: Corpus,
        tokenizer: DistilBertTokenizerFast,
        recipe: LanguageModelling,
        *,
        held_out: int = 0,
        answers: Answers | None = None,
    ) -> None:
        self.model, self.data, self.recipe, self.answers = model, data, recipe, answers
        self.tokenizer, self.special_ids = tokenizer, tuple(tokenizer.all_special_ids)
        self.weights: Mapping[str, float] = recipe.weights(taught=bool(teachers) or answers is not None)
        if answers is not None:
            _refuse_more_than_answers(recipe, self.weights)
        self.teachers = tuple(teachers) if any(w for n, w in self.weights.items() if n != "masked_lm") else ()
        order = np.random.default_rng((recipe.seed, HELD_OUT)).permutation(len(data))
        self.held_out, self.learnt = np.sort(order[:held_out]), np.sort(order[held_out:])
        self.masking = masking_of(data, tokenizer, model.config.vocab_size, recipe)
        if answers is not None:
            answers.refuse_others_than(what_is_asked(data, model.config.vocab_size, recipe))

    def reads(self, hidden: Hidden) -> list[Mapping[str, Any] | None]:
        """A batch as each teacher reads it; None where that is as the student does."""
        return [None] * len(self.teachers)

    def given(
        self, hidden: Hidden, reads: Sequence[Mapping[str, Any] | None], asked: Mapping[str, Any]
    ) -> dict[str, Any]:
        """A batch as the losses take it; ``asked`` are answers that were kept, ``words`` and ``logs``."""
        raise NotImplementedError

    def judge(self, batch: MicroBatch, *, by: Any = None) -> tuple[dict[str, Any], dict[str, int]]:
        """How well hidden words are told, and how far from a teacher, by default the first one: sums, and
        what divides them.

        ``masked_lm``, ``teacher_masked_lm`` and ``distribution`` in nats (the last at temperature 1),
        ``accuracy`` of the most likely word, and ``agreement`` of both models' most likely words. Of a
        teacher that reads its own way, ``shared`` says at which share of the hidden words it is heard.
        """
        raise NotImplementedError

    def steps(self, done: int, share: slice) -> Iterator[list[MicroBatch]]:
        lengths = self.data.lengths[self.learnt]
        size, seed = self.recipe.batch_size, self.recipe.seed
        for epoch, places in endless_batches(lengths, batch_size=size, seed=seed, done=done):
            shares = parts(self.learnt[places], share, size=self.recipe.micro_batch_size)
            yield [self.micro_batch(rows, epoch) for rows in shares]

    def judged(self, share: slice) -> Iterator[tuple[dict[str, Any], dict[str, int]]]:
        rows = self.held_out[np.argsort(self.data.lengths[self.held_out], kind="stable")][share]
        for start in range(0, len(rows), self.recipe.micro_batch_size):
            part = rows[start : start + self.recipe.micro_batch_size]
            yield self.judge(self.hidden(part))
            if not self.teachers:
                yield self._judge_words(part)

    def hidden(self, rows: Rows) -> MicroBatch:
        """Some sequences with their words hidden as those that are held out are."""
        return self.micro_batch(rows, HELD_OUT)

    def micro_batch(self, rows: Rows, epoch: int, masking: Masking | None = None) -> MicroBatch:
        """Some sequences with their words hidden as this epoch hides them, or by another ``masking``."""
        recipe, masking = self.recipe, masking or self.masking
        ids, labels, beside = [], [], []
        for row in rows:
            # Answers are about as many ways of hiding words as were asked about.
            way = epoch % self.answers.epochs if self.answers and epoch != HELD_OUT else epoch
            rng = sequence_rng(recipe.seed, way, int(row))
            pair = masking(self.data[row], rng)
            ids.append(pair[0])
            labels.append(pair[1])
            beside.append(rng.random(len(pair[0])) < recipe.positions_beside)
        labels_T = np.concatenate(labels).astype(np.int64)
        scored_T = labels_T != IGNORED_LABEL
        # No word is ever told of [CLS] and [SEP], so a teacher's opinion of them means nothing.
        true = [self.data[row] for row in rows]
        true_ids_T = np.concatenate(true)
        heard_T = recipe.special_positions | ~np.isin(true_ids_T, self.special_ids)
        compared_T = scored_T.copy()
        if any(weight for name, weight in self.weights.items() if name in OF_DISTRIBUTIONS):
            compared_T |= heard_T & np.concatenate(beside)
        whole = masking.continues is not None
        words = sum(map(masking.count_words, true, labels)) if whole else 0
        heard, compared = np.flatnonzero(heard_T), np.flatnonzero(compared_T)
        hidden = Hidden(rows, epoch, true, ids, labels_T, heard, compared)
        asked: dict[str, Any] = {}
        if self.answers and epoch != HELD_OUT:
            words_TK, logs_TK = self.answers.about(rows, epoch)
            asked = {"words": words_TK.astype(np.int64), "logs": logs_TK}
        reads = self.reads(hidden)
        spoken = [None if read is None else np.asarray(read["places"]) >= 0 for read in reads]
        return MicroBatch(
            self.given(hidden, reads, asked),
            {
                "masked_lm": int(scored_T.sum()),
                "words": words,
                "cosine": self._count(heard, spoken),
                "hidden": self._count(heard, spoken),
                "relation": len(labels_T),
                **dict.fromkeys(OF_DISTRIBUTIONS, self._count(compared, spoken)),
            },
            tokens=len(labels_T),
            flops=self._flops([len(row) for row in ids], len(compared), reads),
        )

    def _flops(self, lengths: list[int], compared: int, reads: Sequence[Mapping[str, Any] | None]) -> float:
        """Of a step's part: the student forward and backward, its teachers forward.

        Teachers of other families, of whose blocks nothing is known here, are not counted.
        """
        wanted = [name for name, weight in self.weights.items() if weight]
        of_words = [name for name in wanted if name in OF_DISTRIBUTIONS]
        config = self.model.config
        total = flops.of_blocks(config, lengths)
        total += flops.of_words(config, compared) if of_words or "masked_lm" in wanted else 0.0
        total *= flops.LEARNING
        for teacher, read in zip(self.teachers, reads, strict=True):
            if isinstance(teacher.model.config, EncoderConfig):
                config = teacher.model.config
                total += flops.of_blocks(config, lengths if read is None else read["texts"].lengths)
                total += flops.of_words(config, compared) if of_words else 0.0
        return total

    def _count(self, places: Rows, spoken: Sequence[Any]) -> float:
        """How many of these tokens are compared: each counts as the teachers that speak of it weigh."""
        if all(one is None for one in spoken):
            return len(places)
        return sum(
            teacher.weight * (len(places) if one is None else int(np.count_nonzero(one[places])))
            for teacher, one in zip(self.teachers, spoken, strict=True)
        )

    def _judge_words(self, rows: Rows) -> tuple[dict[str, Any], dict[str, int]]:
        """``masked_words``: how well words are told that are hidden with all their pieces, in nats a word."""
        batch = self.micro_batch(rows, HELD_OUT, self._whole_words)
        words = int(batch.counts["words"])
        return {"masked_words": self.judge(batch)[0]["masked_lm"]}, {"masked_words": words}

    @cached_property
    def _whole_words(self) -> Masking:
        """The run's way of hiding, but of words with all their pieces."""
        recipe = self.recipe.with_changes(masking="word")
        return masking_of(self.data, self.tokenizer, self.model.config.vocab_size, recipe)


def _refuse_more_than_answers(recipe: LanguageModelling, weights: Mapping[str, float]) -> None:
    more = [name for name, weight in weights.items() if weight and name not in ("masked_lm", "distribution")]
    if more or recipe.positions != "masked":
        raise ConfigError(
            "Answers that were kept are distributions over hidden words, and nothing else.",
            received=", ".join(f"{name}_weight={weights[name]:g}" for name in more)
            or f"positions={recipe.positions}",
            remedy="Set those weights to 0 (such as --cosine-weight 0), and positions to masked.",
        )
