"""Learning to tell hidden words from a teacher: the objective of distillation.

Sequences lie in rows here, whose shapes are few; the tokens that a term scores are gathered from them, as
many as the shape of a batch has room for, and only they pass through the vocabulary-sized head.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from distilbert.core.config import IGNORED_LABEL
from distilbert.core.data.answers import Answers
from distilbert.core.data.collate import attention_mask, pad
from distilbert.core.data.corpus import Corpus
from distilbert.core.layers import layer_map
from distilbert.core.parameters import POSITION_EMBEDDINGS, base_prefix
from distilbert.core.recipe import LanguageModelling
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.training.course import MicroBatch
from distilbert.core.training.hearing import Teacher
from distilbert.core.training.masked_words import OF_DISTRIBUTIONS, Hidden, HiddenWords
from distilbert.errors import ConfigError
from distilbert.jax.answering import filled, rows_for
from distilbert.jax.batch import bucket
from distilbert.jax.heads import MaskedLanguageModel
from distilbert.jax.hearing import states_of
from distilbert.jax.losses import (
    answers_sum,
    cosine_sum,
    cross_entropy_sum,
    distribution_sum,
    jensen_shannon_sum,
    logits_error_sum,
    states_error_sum,
)
from distilbert.jax.modules import Array
from distilbert.jax.train import Objective, Sums
from distilbert.jax.vocabulary import PIECE, through_vocabulary

#: Terms that compare distributions over the vocabulary.
_LOSSES: dict[str, Any] = {
    "distribution": distribution_sum,
    "jensen_shannon": jensen_shannon_sum,
    "logits_error": logits_error_sum,
}

#: Of the tokens that are compared on average, what a batch has room for.
_ROOM = 1.15


class MaskedWords(HiddenWords, Objective):
    """The objective: hidden words, and with teachers their distributions over them and their last states.

    The triple loss of Sanh et al. 2019, section 2.

    Raises:
        ConfigError: terms that are not there, or that answers cannot give.
    """

    teachers: tuple[Teacher, ...]

    def __init__(
        self,
        model: MaskedLanguageModel,
        teachers: Sequence[Teacher],
        data: Corpus,
        tokenizer: DistilBertTokenizerFast,
        recipe: LanguageModelling,
        *,
        held_out: int = 0,
        answers: Answers | None = None,
    ) -> None:
        super().__init__(model, teachers, data, tokenizer, recipe, held_out=held_out, answers=answers)
        if self.weights.get("relation"):
            raise ConfigError(
                "How queries, keys and values relate to each other is learnt in PyTorch.",
                received=f"relation_weight={recipe.relation_weight:g} for JAX",
                remedy="Set it to 0, or leave --backend out.",
            )
        key = base_prefix(model.config) + POSITION_EMBEDDINGS
        self.frozen = frozenset([key] if recipe.freeze_positions else [])
        self.still = [teacher.model._leaves() for teacher in self.teachers]
        #: Learns with the model, and is not kept: from the student's width to each teacher's.
        self.extra = {
            str(i): _widening(model, teacher, jax.random.key(recipe.seed + i))
            for i, teacher in enumerate(self.teachers)
            if teacher.width != model.config.dim
        }

    def given(
        self, hidden: Hidden, reads: Sequence[Mapping[str, Any] | None], asked: Mapping[str, Any]
    ) -> dict[str, Any]:
        config, recipe = self.model.config, self.recipe
        lengths = [len(row) for row in hidden.ids]
        rows = rows_for(len(lengths), recipe.micro_batch_size)
        width = bucket(max(lengths), config.max_position_embeddings)
        # Where in the rows, one after the other, each token stands.
        place_T = np.concatenate([row * width + np.arange(length) for row, length in enumerate(lengths)])
        heard = np.zeros(rows * width, bool)
        heard[place_T[hidden.heard]] = True
        room = _pieces(rows * width * _share(recipe) * _ROOM)
        count = max(room, _pieces(len(hidden.compared)))
        compared = {
            "at": (place_T[hidden.compared], 0),
            "labels": (hidden.labels[hidden.compared], IGNORED_LABEL),
            "counted": (np.ones(len(hidden.compared), bool), False),
            **{name: (array, 0) for name, array in asked.items()},
        }
        ids_BS = filled(pad(hidden.ids, value=config.pad_token_id), (rows, width), config.pad_token_id)
        return {
            "input_ids": ids_BS.astype(np.int32),
            "attention_mask": filled(attention_mask(hidden.ids), (rows, width), 0).astype(np.int32),
            "heard": heard,
            **{name: _longer(array, count, fill) for name, (array, fill) in compared.items()},
        }

    def losses(
        self,
        model: Any,
        extra: Mapping[str, Array],
        still: Any,
        given: Mapping[str, Array],
        scales: Mapping[str, Array],
        key: Array | None,
    ) -> tuple[Array, Sums]:
        layers = "hidden" in scales
        states = states_of(model, given, key, layers=layers)
        teachers = [
            teacher.model.with_leaves(leaves) for teacher, leaves in zip(self.teachers, still, strict=True)
        ]
        heard = [states_of(teacher, given, layers=layers) for teacher in teachers]
        sums: Sums = {}
        if any(name in scales for name in ("masked_lm", *OF_DISTRIBUTIONS)):
            sums |= self._of_words(model, teachers, states[-1], [one[-1] for one in heard], given, scales)
        for name, compare in (("cosine", self._cosine), ("hidden", self._hidden)):
            if name in scales:
                sums[name] = sum(
                    teacher.weight * compare(states, one, extra.get(str(i)), given["heard"])
                    for i, (teacher, one) in enumerate(zip(self.teachers, heard, strict=True))
                )
        return sum(scales[name] * value for name, value in sums.items()), sums

    def _of_words(
        self,
        model: Any,
        teachers: Sequence[Any],
        states_TD: Array,
        heard: Sequence[Array],
        given: Mapping[str, Array],
        scales: Mapping[str, Array],
    ) -> Sums:
        """The terms that need logits over the vocabulary."""
        wanted = [name for name in OF_DISTRIBUTIONS if name in scales]
        rows = {name: given[name] for name in ("labels", "counted", "words", "logs") if name in given}
        rows["own"] = states_TD[given["at"]]
        if wanted:
            rows |= {str(i): x_TD[given["at"]] for i, x_TD in enumerate(heard)}
        temperature = self.recipe.temperature

        def score(rows: Mapping[str, Array]) -> Sums:
            logits_TV = model.token_logits(rows["own"])
            found: Sums = {}
            if "masked_lm" in scales:
                found["masked_lm"] = cross_entropy_sum(logits_TV, rows["labels"])
            for i, (teacher, own) in enumerate(zip(teachers, self.teachers, strict=True)):
                theirs = jax.lax.stop_gradient(teacher.token_logits(rows[str(i)])) if wanted else None
                for name in wanted:
                    at = {} if name == "logits_error" else {"temperature": temperature}
                    value = own.weight * _LOSSES[name](logits_TV, theirs, rows["counted"], **at)
                    found[name] = found[name] + value if name in found else value
            if "words" in rows and wanted:
                found["distribution"] = answers_sum(
                    logits_TV, rows["words"], rows["logs"], rows["counted"], temperature=temperature
                )
            return found

        return through_vocabulary(score, rows)

    def _cosine(
        self, states: Sequence[Array], heard: Sequence[Array], widen: Array | None, counted: Array
    ) -> Array:
        return cosine_sum(_widened(states[-1], widen), heard[-1], counted)

    def _hidden(
        self, states: Sequence[Array], heard: Sequence[Array], widen: Array | None, counted: Array
    ) -> Array:
        compare = cosine_sum if self.recipe.hidden_loss == "cosine" else states_error_sum
        pairs = layer_map(len(states) - 1, len(heard) - 1, self.recipe.hidden_layers)  # type: ignore[arg-type]  # the recipe checks names
        found = [compare(_widened(states[i + 1], widen), heard[j + 1], counted) for i, j in pairs]
        return jnp.stack(found).mean()

    def judge(self, batch: MicroBatch, *, by: Teacher | None = None) -> tuple[Sums, dict[str, int]]:
        number = 0 if by is None else self.teachers.index(by)
        still = self.still[number : number + 1]
        found = self._judge(self.model._leaves(), still, batch.given, number=number)
        return found, dict.fromkeys(found, int(batch.counts["masked_lm"]))

    @cached_property
    def _judge(self) -> Any:
        return jax.jit(partial(_judged, self), static_argnames=("number",))


def _judged(
    objective: MaskedWords,
    leaves: Mapping[str, Array],
    still: Any,
    given: Mapping[str, Array],
    *,
    number: int,
) -> Sums:
    """What ``judge`` says, of the number of a teacher."""
    model = objective.model.with_leaves(leaves)
    labels = given["labels"]
    scored = labels != IGNORED_LABEL
    rows = {"labels": labels, "scored": scored, "own": states_of(model, given)[-1][given["at"]]}
    teacher = objective.teachers[number].model.with_leaves(still[0]) if still else None
    if teacher is not None:
        rows["theirs"] = states_of(teacher, given)[-1][given["at"]]

    def score(rows: Mapping[str, Array]) -> Sums:
        logits_TV, scored = model.token_logits(rows["own"]), rows["scored"]
        best = logits_TV.argmax(-1)
        found = {
            "masked_lm": cross_entropy_sum(logits_TV, rows["labels"]),
            "accuracy": (scored & (best == rows["labels"])).sum(),
        }
        if teacher is not None:
            theirs = teacher.token_logits(rows["theirs"])
            found["distribution"] = distribution_sum(logits_TV, theirs, scored, temperature=1.0)
            found["teacher_masked_lm"] = cross_entropy_sum(theirs, rows["labels"])
            found["agreement"] = (scored & (best == theirs.argmax(-1))).sum()
        return found

    return through_vocabulary(score, rows)


def _share(recipe: LanguageModelling) -> float:
    """Of the tokens, those that are compared on average."""
    return recipe.mask_rate + (1 - recipe.mask_rate) * recipe.positions_beside


def _pieces(tokens: float) -> int:
    """So many tokens in whole pieces."""
    return PIECE * max(1, -(-int(tokens) // PIECE))


def _longer(array: Any, count: int, fill: Any) -> Any:
    """Rows of ``fill`` behind these, so that there are so many; whole numbers as JAX has them."""
    array = array.astype(np.int32) if array.dtype == np.int64 else array
    return filled(array, (count, *array.shape[1:]), fill)


def _widened(states_TD: Array, widen: Array | None) -> Array:
    return states_TD if widen is None else states_TD @ widen.astype(states_TD.dtype)


def _widening(student: MaskedLanguageModel, teacher: Teacher, key: Array) -> Array:
    return jax.nn.initializers.orthogonal()(key, (student.config.dim, teacher.width), jnp.float32)
