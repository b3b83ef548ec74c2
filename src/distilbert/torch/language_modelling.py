"""Learning to tell hidden words, alone or from a teacher: the objective of pretraining and distillation."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from distilbert.core import flops
from distilbert.core.config import IGNORED_LABEL
from distilbert.core.data.answers import Answers
from distilbert.core.data.collate import endless_batches
from distilbert.core.data.corpus import Corpus
from distilbert.core.data.masking import Masking, sequence_rng
from distilbert.core.data.packing import pack
from distilbert.core.data.spelled import SpelledCorpus
from distilbert.core.layers import layer_map
from distilbert.core.recipe import LanguageModelling
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.errors import ConfigError
from distilbert.torch.heads import MaskedLanguageModel
from distilbert.torch.hearing import Heard, Teacher, hear, states_of
from distilbert.torch.hidden_words import masking_of, what_is_asked
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
from distilbert.torch.train import MicroBatch, Sums, parts
from distilbert.torch.vocabulary import through_vocabulary

Rows = np.ndarray[Any, np.dtype[np.int64]]

#: What the sequences that are held out are hidden by: no epoch's number.
_HELD_OUT = 2**31


class MaskedWords:
    """The objective: hidden words, and with teachers their distributions over them and their last states.

    The triple loss of Sanh et al. 2019, section 2. Sequences lie end to end, and only the tokens that a term
    scores pass through the vocabulary-sized head, a few at a time (``vocabulary.py``).

    Args:
        model: learns.
        teachers: are listened to; their weights add up to 1.
        data: the sequences; with their texts, if a teacher reads them its own way.
        tokenizer: says which ids are special.
        recipe: weights, temperature, masking, and where the teachers are listened to.
        held_out: so many sequences, drawn by the seed, are only judged by.
        answers: of a teacher who was asked beforehand, in the place of one who is.

    Raises:
        ConfigError: terms that these models, or answers, cannot give.
    """

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
        self.model, self.data, self.recipe, self.answers = model, data, recipe, answers
        self.tokenizer, self.special_ids = tokenizer, tuple(tokenizer.all_special_ids)
        for teacher in teachers:
            teacher.model.eval().requires_grad_(False)
        self.weights = recipe.weights(taught=bool(teachers) or answers is not None)
        if answers is not None:
            _refuse_more_than_answers(recipe, self.weights)
        self.teachers = tuple(teachers) if any(w for n, w in self.weights.items() if n != "masked_lm") else ()
        #: Learns with the model, and is not kept: from the student's width to each teacher's.
        self.extra = nn.ModuleList(_widening(model, teacher) for teacher in self.teachers)
        if self.weights.get("relation"):
            self.relation_heads = recipe.relation_heads or model.config.n_heads
            _check_relations(model, self.teachers, recipe, self.relation_heads)
        order = np.random.default_rng((recipe.seed, _HELD_OUT)).permutation(len(data))
        self.held_out, self.learnt = np.sort(order[:held_out]), np.sort(order[held_out:])
        self.masking = masking_of(data, tokenizer, model.config.vocab_size, recipe)
        if answers is not None:
            answers.refuse_others_than(what_is_asked(data, model.config.vocab_size, recipe))

    def steps(self, done: int, share: slice) -> Iterator[list[MicroBatch]]:
        lengths = self.data.lengths[self.learnt]
        size, seed = self.recipe.batch_size, self.recipe.seed
        for epoch, places in endless_batches(lengths, batch_size=size, seed=seed, done=done):
            shares = parts(self.learnt[places], share, size=self.recipe.micro_batch_size)
            yield [self.micro_batch(rows, epoch) for rows in shares]

    def judged(self, share: slice) -> Iterator[tuple[Sums, dict[str, int]]]:
        rows = self.held_out[np.argsort(self.data.lengths[self.held_out], kind="stable")][share]
        for start in range(0, len(rows), self.recipe.micro_batch_size):
            part = rows[start : start + self.recipe.micro_batch_size]
            yield self.judge(self.hidden(part))
            if not self.teachers:
                yield self._judge_words(part)

    def hidden(self, rows: Rows) -> MicroBatch:
        """Some sequences with their words hidden as those that are held out are."""
        return self.micro_batch(rows, _HELD_OUT)

    def micro_batch(self, rows: Rows, epoch: int, masking: Masking | None = None) -> MicroBatch:
        """Some sequences with their words hidden as this epoch hides them, or by another ``masking``."""
        recipe, masking = self.recipe, masking or self.masking
        hidden, labels, beside = [], [], []
        for row in rows:
            # Answers are about as many ways of hiding words as were asked about.
            way = epoch % self.answers.epochs if self.answers and epoch != _HELD_OUT else epoch
            rng = sequence_rng(recipe.seed, way, int(row))
            pair = masking(self.data[row], rng)
            hidden.append(pair[0])
            labels.append(pair[1])
            beside.append(rng.random(len(pair[0])) < recipe.positions_beside)
        labels_T = np.concatenate(labels).astype(np.int64)
        scored_T = labels_T != IGNORED_LABEL
        # No word is ever told of [CLS] and [SEP], so a teacher's opinion of them means nothing.
        true = [self.data[row] for row in rows]
        true_ids_T = np.concatenate(true)
        heard_T = recipe.special_positions | ~np.isin(true_ids_T, self.special_ids)
        compared_T = scored_T.copy()
        if any(weight for name, weight in self.weights.items() if name in _OF_DISTRIBUTIONS):
            compared_T |= heard_T & np.concatenate(beside)
        whole = masking.continues is not None
        words = sum(map(masking.count_words, true, labels)) if whole else 0
        heard, compared = np.flatnonzero(heard_T), np.flatnonzero(compared_T)
        device = self.model.device
        given: dict[str, Any] = {"heard": heard, "compared": compared, "labels": labels_T[compared]}
        if self.answers and epoch != _HELD_OUT:
            words_TK, logs_TK = self.answers.about(rows, epoch)
            given |= {"words": words_TK.astype(np.int64), "logs": logs_TK}
        reads = [self._read(teacher, rows, true, hidden) for teacher in self.teachers]
        spoken = [None if read is None else read["places"].numpy() >= 0 for read in reads]
        return MicroBatch(
            {
                "texts": pack(hidden),
                "reads": [None if read is None else _moved(read, device) for read in reads],
                **{name: torch.from_numpy(array).to(device) for name, array in given.items()},
            },
            {
                "masked_lm": int(scored_T.sum()),
                "words": words,
                "cosine": self._count(heard, spoken),
                "hidden": self._count(heard, spoken),
                "relation": len(labels_T),
                **dict.fromkeys(_OF_DISTRIBUTIONS, self._count(compared, spoken)),
            },
            tokens=len(labels_T),
            flops=self._flops([len(row) for row in hidden], len(compared), reads),
        )

    def _flops(self, lengths: list[int], compared: int, reads: Sequence[Mapping[str, Any] | None]) -> float:
        """Of a step's part: the student forward and backward, its teachers forward.

        Teachers of other families, of whose blocks nothing is known here, are not counted.
        """
        wanted = [name for name, weight in self.weights.items() if weight]
        of_words = [name for name in wanted if name in _OF_DISTRIBUTIONS]
        config = self.model.config
        total = flops.of_blocks(config, lengths)
        total += flops.of_words(config, compared) if of_words or "masked_lm" in wanted else 0.0
        total *= flops.LEARNING
        for teacher, read in zip(self.teachers, reads, strict=True):
            if isinstance(teacher.model, MaskedLanguageModel):
                config = teacher.model.config
                total += flops.of_blocks(config, lengths if read is None else read["texts"].lengths)
                total += flops.of_words(config, compared) if of_words else 0.0
        return total

    def _read(
        self, teacher: Teacher, rows: Rows, true: Sequence[Any], hidden: Sequence[Any]
    ) -> dict[str, Any] | None:
        """The batch as a teacher reads it; None where that is as the student does."""
        if teacher.reading is None:
            return None
        assert isinstance(self.data, SpelledCorpus)
        texts, spans = zip(*(self.data.spelled(int(row)) for row in rows), strict=True)
        read = teacher.reading(texts, spans, true, hidden)
        return {
            "texts": read.texts,
            "places": torch.from_numpy(read.places),
            "kinds": torch.from_numpy(read.kinds),
        }

    def _count(self, places: Rows, spoken: Sequence[Any]) -> float:
        """How many of these tokens are compared: each counts as the teachers that speak of it weigh."""
        if all(one is None for one in spoken):
            return len(places)
        return sum(
            teacher.weight * (len(places) if one is None else int(np.count_nonzero(one[places])))
            for teacher, one in zip(self.teachers, spoken, strict=True)
        )

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
        """How well hidden words are told, and how far from a teacher, by default the first one: sums, and
        what divides them.

        ``masked_lm``, ``teacher_masked_lm`` and ``distribution`` in nats (the last at temperature 1),
        ``accuracy`` of the most likely word, and ``agreement`` of both models' most likely words. Of a
        teacher that reads its own way, ``shared`` says at which share of the hidden words it is heard.
        """
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

    def _judge_words(self, rows: Rows) -> tuple[Sums, dict[str, int]]:
        """``masked_words``: how well words are told that are hidden with all their pieces, in nats a word."""
        batch = self.micro_batch(rows, _HELD_OUT, self._whole_words)
        words = int(batch.counts["words"])
        return {"masked_words": self.judge(batch)[0]["masked_lm"]}, {"masked_words": words}

    @cached_property
    def _whole_words(self) -> Masking:
        """The run's way of hiding, but of words with all their pieces."""
        recipe = self.recipe.with_changes(masking="word")
        return masking_of(self.data, self.tokenizer, self.model.config.vocab_size, recipe)


#: Terms that compare distributions over the vocabulary.
_OF_DISTRIBUTIONS: dict[str, Any] = {
    "distribution": distribution_sum,
    "jensen_shannon": jensen_shannon_sum,
    "logits_error": logits_error_sum,
}


def _refuse_more_than_answers(recipe: LanguageModelling, weights: Mapping[str, float]) -> None:
    more = [name for name, weight in weights.items() if weight and name not in ("masked_lm", "distribution")]
    if more or recipe.positions != "masked":
        raise ConfigError(
            "Answers that were kept are distributions over hidden words, and nothing else.",
            received=", ".join(f"{name}_weight={weights[name]:g}" for name in more)
            or f"positions={recipe.positions}",
            remedy="Set those weights to 0 (such as --cosine-weight 0), and positions to masked.",
        )


def _zeros(device: torch.device) -> Sums:
    return defaultdict(lambda: torch.zeros((), device=device))


def _moved(read: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    return {name: part.to(device) if isinstance(part, Tensor) else part for name, part in read.items()}


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
