"""Learning to tell hidden words from a teacher: the objective of distillation.

The tokens that a term scores are gathered from the rows, and they alone pass through the vocabulary-sized
head.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import keras
import numpy as np
from keras import ops

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
from distilbert.keras.answering import narrowed
from distilbert.keras.device import device_of, on
from distilbert.keras.graphs import Graphs
from distilbert.keras.heads import MaskedLanguageModel
from distilbert.keras.hearing import states_of
from distilbert.keras.losses import (
    answers_sum,
    cosine_sum,
    cross_entropy_sum,
    distribution_sum,
    jensen_shannon_sum,
    logits_error_sum,
    states_error_sum,
)
from distilbert.keras.modules import Tensor
from distilbert.keras.tensors import tf
from distilbert.keras.train import Objective, Sums

#: Terms that compare distributions over the vocabulary.
_LOSSES: dict[str, Any] = {
    "distribution": distribution_sum,
    "jensen_shannon": jensen_shannon_sum,
    "logits_error": logits_error_sum,
}


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
                received=f"relation_weight={recipe.relation_weight:g} for Keras",
                remedy="Set it to 0, or leave --backend out.",
            )
        key = base_prefix(model.config) + POSITION_EMBEDDINGS
        self.frozen = frozenset([key] if recipe.freeze_positions else [])
        #: Learns with the model, and is not kept: from the student's width to each teacher's.
        with on(device_of(model)):
            self.extra = {
                str(i): tf.Variable(_widening(model, teacher, recipe.seed + i))
                for i, teacher in enumerate(self.teachers)
                if teacher.width != model.config.dim
            }

    def given(
        self, hidden: Hidden, reads: Sequence[Mapping[str, Any] | None], asked: Mapping[str, Any]
    ) -> dict[str, Any]:
        ids_BS = pad(hidden.ids, value=self.model.config.pad_token_id)
        # Where in the rows, one after the other, each token stands.
        place_T = np.flatnonzero(mask_BS := attention_mask(hidden.ids))
        return narrowed(
            {
                "input_ids": ids_BS,
                "attention_mask": mask_BS,
                "heard": place_T[hidden.heard],
                "at": place_T[hidden.compared],
                "labels": hidden.labels[hidden.compared],
                **asked,
            }
        )

    def losses(
        self, given: Mapping[str, Tensor], scales: Mapping[str, Tensor], key: Tensor | None
    ) -> tuple[Tensor, Sums]:
        layers = "hidden" in scales
        states = states_of(self.model, given, key, layers=layers)
        heard = [states_of(teacher.model, given, layers=layers) for teacher in self.teachers]
        sums: Sums = {}
        if any(name in scales for name in ("masked_lm", *OF_DISTRIBUTIONS)):
            sums |= self._of_words(states[-1], [one[-1] for one in heard], given, scales)
        for name, compare in (("cosine", self._cosine), ("hidden", self._hidden)):
            if name in scales:
                sums[name] = sum(
                    teacher.weight * compare(states, one, self.extra.get(str(i)), given["heard"])
                    for i, (teacher, one) in enumerate(zip(self.teachers, heard, strict=True))
                )
        return sum(scales[name] * value for name, value in sums.items()), sums

    def _of_words(
        self,
        states_TD: Tensor,
        heard: Sequence[Tensor],
        given: Mapping[str, Tensor],
        scales: Mapping[str, Tensor],
    ) -> Sums:
        """The terms that need logits over the vocabulary."""
        wanted = [name for name in OF_DISTRIBUTIONS if name in scales]
        temperature = self.recipe.temperature
        logits_TV = self.model.token_logits(ops.take(states_TD, given["at"], axis=0))
        found: Sums = {}
        if "masked_lm" in scales:
            found["masked_lm"] = cross_entropy_sum(logits_TV, given["labels"])
        for teacher, x_TD in zip(self.teachers, heard, strict=True) if wanted else ():
            theirs_TV = teacher.model.token_logits(ops.take(x_TD, given["at"], axis=0))
            for name in wanted:
                at = {} if name == "logits_error" else {"temperature": temperature}
                value = teacher.weight * _LOSSES[name](logits_TV, theirs_TV, **at)
                found[name] = found[name] + value if name in found else value
        if self.answers is not None and "words" in given and wanted:
            words_TK = ops.reshape(given["words"], (-1, self.answers.top))
            found["distribution"] = answers_sum(logits_TV, words_TK, given["logs"], temperature=temperature)
        return found

    def _cosine(
        self, states: Sequence[Tensor], heard: Sequence[Tensor], widen: Any, counted: Tensor
    ) -> Tensor:
        return _compared(cosine_sum, states[-1], heard[-1], widen, counted)

    def _hidden(
        self, states: Sequence[Tensor], heard: Sequence[Tensor], widen: Any, counted: Tensor
    ) -> Tensor:
        compare = cosine_sum if self.recipe.hidden_loss == "cosine" else states_error_sum
        pairs = layer_map(len(states) - 1, len(heard) - 1, self.recipe.hidden_layers)  # type: ignore[arg-type]  # the recipe checks names
        found = [_compared(compare, states[i + 1], heard[j + 1], widen, counted) for i, j in pairs]
        return sum(found) / len(found)

    def judge(self, batch: MicroBatch, *, by: Teacher | None = None) -> tuple[Sums, dict[str, int]]:
        number = 0 if by is None else self.teachers.index(by)
        found = self._judges[number](batch.given)
        return found, dict.fromkeys(found, int(batch.counts["masked_lm"]))

    @cached_property
    def _judges(self) -> list[Graphs]:
        """Of each teacher; where there is none, one without."""
        return [Graphs(partial(_judged, self, teacher), self.model) for teacher in self.teachers or (None,)]


def _judged(objective: MaskedWords, teacher: Teacher | None, given: Mapping[str, Tensor]) -> Sums:
    """What ``judge`` says, of a teacher."""
    scored = ops.not_equal(given["labels"], IGNORED_LABEL)
    at, labels = (tf.boolean_mask(given[name], scored) for name in ("at", "labels"))

    def logits_of(model: MaskedLanguageModel) -> Tensor:
        return model.token_logits(ops.take(states_of(model, given)[-1], at, axis=0))

    def likeliest(logits_TV: Tensor) -> Tensor:
        return ops.cast(ops.argmax(logits_TV, axis=-1), "int32")

    def count(told: Tensor) -> Tensor:
        return ops.sum(ops.cast(told, "int32"))

    logits_TV = logits_of(objective.model)
    best = likeliest(logits_TV)
    found = {"masked_lm": cross_entropy_sum(logits_TV, labels), "accuracy": count(ops.equal(best, labels))}
    if teacher is not None:
        theirs = logits_of(teacher.model)
        found["distribution"] = distribution_sum(logits_TV, theirs, temperature=1.0)
        found["teacher_masked_lm"] = cross_entropy_sum(theirs, labels)
        found["agreement"] = count(ops.equal(best, likeliest(theirs)))
    return found


def _compared(compare: Any, states_TD: Tensor, heard_TD: Tensor, widen: Any, counted: Tensor) -> Tensor:
    """What a loss says of the states at some tokens."""
    own_TD, theirs_TD = (ops.take(x_TD, counted, axis=0) for x_TD in (states_TD, heard_TD))
    if widen is not None:
        own_TD = ops.matmul(own_TD, ops.cast(widen, own_TD.dtype))
    return compare(own_TD, theirs_TD)


def _widening(student: MaskedLanguageModel, teacher: Teacher, seed: int) -> Tensor:
    return keras.initializers.Orthogonal(seed=seed)((student.config.dim, teacher.width), dtype="float32")
