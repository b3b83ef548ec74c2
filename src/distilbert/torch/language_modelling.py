"""Learning to tell hidden words, alone or from a teacher: the objective of pretraining and distillation."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from distilbert.core.config import IGNORED_LABEL
from distilbert.core.data.answers import Answers
from distilbert.core.data.corpus import Corpus
from distilbert.core.data.packing import pack
from distilbert.core.data.spelled import SpelledCorpus
from distilbert.core.layers import layer_map
from distilbert.core.recipe import LanguageModelling
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.training.course import MicroBatch
from distilbert.core.training.masked_words import Hidden, HiddenWords
from distilbert.errors import ConfigError
from distilbert.torch.heads import MaskedLanguageModel
from distilbert.torch.hearing import Heard, Teacher, hear, states_of
from distilbert.torch.losses import (
    answers_sum,
    cosine_sum,
    cross_entropy_sum,
    distribution_sum,
    jensen_shannon_sum,
    logits_error_sum,
    states_error_sum,
)
from distilbert.torch.relations import check_relation_heads, relation_sum
from distilbert.torch.train import Sums
from distilbert.torch.vocabulary import through_vocabulary


class MaskedWords(HiddenWords):
    """The objective: hidden words, and with teachers their distributions over them and their last states.

    The triple loss of Sanh et al. 2019, section 2. Sequences lie end to end, and only the tokens that a term
    scores pass through the vocabulary-sized head, a few at a time (``vocabulary.py``).

    Raises:
        ConfigError: terms that these models, or answers, cannot give.
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
        for teacher in teachers:
            teacher.model.eval().requires_grad_(False)
        super().__init__(model, teachers, data, tokenizer, recipe, held_out=held_out, answers=answers)
        #: Learns with the model, and is not kept: from the student's width to each teacher's.
        self.extra = nn.ModuleList(_widening(model, teacher) for teacher in self.teachers)
        if self.weights.get("relation"):
            self.relation_heads = recipe.relation_heads or model.config.n_heads
            _check_relations(model, self.teachers, recipe, self.relation_heads)

    def reads(self, hidden: Hidden) -> list[Mapping[str, Any] | None]:
        return [self._read(teacher, hidden) for teacher in self.teachers]

    def _read(self, teacher: Teacher, hidden: Hidden) -> dict[str, Any] | None:
        """The batch as a teacher reads it; None where that is as the student does."""
        if teacher.reading is None:
            return None
        assert isinstance(self.data, SpelledCorpus)
        texts, spans = zip(*(self.data.spelled(int(row)) for row in hidden.rows), strict=True)
        read = teacher.reading(texts, spans, hidden.true, hidden.ids)
        return {"texts": read.texts, "places": read.places, "kinds": read.kinds}

    def given(
        self, hidden: Hidden, reads: Sequence[Mapping[str, Any] | None], asked: Mapping[str, Any]
    ) -> dict[str, Any]:
        device = self.model.device
        arrays = {
            "heard": hidden.heard,
            "compared": hidden.compared,
            "labels": hidden.labels[hidden.compared],
            **asked,
        }
        return {
            "texts": pack(hidden.ids),
            "reads": [None if read is None else _moved(read, device) for read in reads],
            **{name: torch.from_numpy(array).to(device) for name, array in arrays.items()},
        }

    def losses(self, batch: MicroBatch, scales: Mapping[str, float]) -> tuple[Tensor, Sums]:
        given, sums = batch.given, _zeros(self.model.device)
        layers = "hidden" in scales or "relation" in scales
        states = states_of(self.model, given["texts"], layers=layers)
        heard = [
            hear(teacher, widen, given, read, given["compared"], layers=layers)
            for teacher, widen, read in zip(self.teachers, self.extra, given["reads"], strict=True)
        ]
        total = states[-1].new_zeros(())
        if any(name in scales for name in ("masked_lm", *_OF_DISTRIBUTIONS)):
            total = total + self._of_words(states[-1], heard, given, scales, sums)
        for name, compare in (
            ("cosine", self._cosine),
            ("hidden", self._hidden),
            ("relation", self._relation),
        ):
            if name in scales:
                for one in heard:
                    value = one.teacher.weight * compare(states, one, given)
                    sums[name] += value.detach()
                    total = total + scales[name] * value
        return total, sums

    def _of_words(
        self,
        hidden_TD: Tensor,
        heard: Sequence[Heard],
        given: Mapping[str, Any],
        scales: Mapping[str, float],
        sums: Sums,
    ) -> Tensor:
        """The terms that need logits over the vocabulary."""

        def score(logits_TV: Tensor, rows: slice) -> Tensor:
            found = {}
            if "masked_lm" in scales:
                found["masked_lm"] = cross_entropy_sum(logits_TV, given["labels"][rows])
            wanted = [name for name in _OF_DISTRIBUTIONS if name in scales]
            for one in heard if wanted else ():
                for told in one.told(logits_TV, rows):
                    for name in wanted:
                        at = {} if name == "logits_error" else {"temperature": self.recipe.temperature}
                        value = one.teacher.weight * _OF_DISTRIBUTIONS[name](told.own, told.theirs, **at)
                        found[name] = found[name] + value if name in found else value
            if self.answers and wanted:
                found["distribution"] = answers_sum(
                    logits_TV, given["words"][rows], given["logs"][rows], temperature=self.recipe.temperature
                )
            for name, value in found.items():
                sums[name] += value.detach()
            if not found:  # no teacher says anything of these
                return 0.0 * logits_TV.sum()
            return torch.stack([scales[name] * value for name, value in found.items()]).sum()

        x_TD = self.model.before_vocabulary(hidden_TD[given["compared"]])
        return through_vocabulary(self.model.get_output_embeddings(), x_TD, score)

    def _cosine(self, states: Sequence[Tensor], heard: Heard, given: Mapping[str, Any]) -> Tensor:
        at = heard.among(given["heard"])
        return cosine_sum(heard.widen(states[-1][at]), heard.states[-1][at])

    def _hidden(self, states: Sequence[Tensor], heard: Heard, given: Mapping[str, Any]) -> Tensor:
        at = heard.among(given["heard"])
        compare = cosine_sum if self.recipe.hidden_loss == "cosine" else states_error_sum
        pairs = layer_map(len(states) - 1, len(heard.states) - 1, self.recipe.hidden_layers)  # type: ignore[arg-type]  # the recipe checks names
        found = [compare(heard.widen(states[i + 1][at]), heard.states[j + 1][at]) for i, j in pairs]
        return torch.stack(found).mean()

    def _relation(self, states: Sequence[Tensor], heard: Heard, given: Mapping[str, Any]) -> Tensor:
        model = heard.teacher.model
        assert isinstance(model, MaskedLanguageModel)
        theirs = model.encoder._attentions
        layer = len(theirs) - 1 if self.recipe.relation_layer is None else self.recipe.relation_layer
        own = self.model.encoder._attentions
        return relation_sum(
            (own[-1], states[-2]),
            (theirs[layer], heard.states[layer]),
            given["texts"].lengths,
            heads=self.relation_heads,
        )

    def judge(self, batch: MicroBatch, *, by: Teacher | None = None) -> tuple[Sums, dict[str, int]]:
        given, sums = batch.given, _zeros(self.model.device)
        scored = torch.nonzero(given["labels"] != IGNORED_LABEL)[:, 0]
        at, labels = given["compared"][scored], given["labels"][scored]
        with torch.no_grad():
            hidden_TD = states_of(self.model, given["texts"])[-1][at]
            teachers = self.teachers[:1] if by is None else (by,)
            reads = [given["reads"][self.teachers.index(teacher)] for teacher in teachers]
            same = nn.Identity()
            heard = [hear(t, same, given, read, at) for t, read in zip(teachers, reads, strict=True)]
            counts = {"masked_lm": len(labels), "accuracy": len(labels)}
            for one in heard:
                spoken = len(labels) if one.kinds is None else int((one.kinds >= 0).sum())
                counts |= dict.fromkeys(("distribution", "teacher_masked_lm", "agreement"), spoken)
                if one.kinds is not None:
                    counts["shared"] = len(labels)
                    sums["shared"] += spoken

            def score(logits_TV: Tensor, rows: slice) -> Tensor:
                best = logits_TV.argmax(-1)
                sums["masked_lm"] += cross_entropy_sum(logits_TV, labels[rows])
                sums["accuracy"] += (best == labels[rows]).sum()
                for told in (told for one in heard for told in one.told(logits_TV, rows)):
                    true = labels[rows] if told.rows is None else labels[rows][told.rows]
                    true = true if told.names is None else told.names[true]
                    sums["distribution"] += distribution_sum(told.own, told.theirs, temperature=1.0)
                    sums["teacher_masked_lm"] += cross_entropy_sum(told.theirs, true)
                    sums["agreement"] += (told.own.argmax(-1) == told.theirs.argmax(-1)).sum()
                return logits_TV.new_zeros(())

            x_TD = self.model.before_vocabulary(hidden_TD)
            through_vocabulary(self.model.get_output_embeddings(), x_TD, score)
        return {name: sums[name] for name in counts}, counts


#: Terms that compare distributions over the vocabulary.
_OF_DISTRIBUTIONS: dict[str, Any] = {
    "distribution": distribution_sum,
    "jensen_shannon": jensen_shannon_sum,
    "logits_error": logits_error_sum,
}


def _zeros(device: torch.device) -> Sums:
    return defaultdict(lambda: torch.zeros((), device=device))


def _moved(read: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    def moved(part: Any) -> Any:
        return torch.from_numpy(part).to(device) if isinstance(part, np.ndarray) else part

    return {name: moved(part) for name, part in read.items()}


def _check_relations(
    model: MaskedLanguageModel, teachers: Sequence[Teacher], recipe: LanguageModelling, heads: int
) -> None:
    own = [t.model for t in teachers if isinstance(t.model, MaskedLanguageModel) and t.reading is None]
    if len(own) < len(teachers):
        raise ConfigError(
            "Relations are those of a BERT or DistilBERT that reads the student's tokens.",
            received=f"relation_weight={recipe.relation_weight:g} with another teacher",
            remedy="Set relation_weight to 0.",
        )
    for one in (model, *own):
        check_relation_heads(heads, *(a.dim for a in one.encoder._attentions))
    layers = min((one.config.n_layers for one in own), default=0)
    if own and recipe.relation_layer is not None and recipe.relation_layer >= layers:
        raise ConfigError(
            f"relation_layer must be one of the teacher's, 0 to {layers - 1}.",
            received=f"relation_layer={recipe.relation_layer}",
            remedy="Leave it out for the last one.",
        )


def _widening(student: MaskedLanguageModel, teacher: Teacher) -> nn.Module:
    width, wider = student.config.dim, teacher.width
    if width == wider:
        return nn.Identity()
    widen = nn.Linear(width, wider, bias=False, device=student.device)
    nn.init.orthogonal_(widen.weight)
    return widen
