"""A teacher of hidden words, and what it says of a batch."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from distilbert.core.copies import fingerprint
from distilbert.core.data.packing import PackedBatch
from distilbert.core.data.reading import Reading
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.vocabularies import Shared
from distilbert.torch.foreign import ForeignLanguageModel
from distilbert.torch.foreign_tokenizer import ForeignTokenizer
from distilbert.torch.heads import MaskedLanguageModel


@dataclass(frozen=True, eq=False)
class Teacher:
    """One who is listened to.

    Attributes:
        model: tells hidden words.
        weight: how much it is listened to beside the others.
        name: what a sentence calls it.
        tokenizer: its own.
        reading: how it reads what the student reads; None where it reads the student's tokens.
    """

    model: MaskedLanguageModel | ForeignLanguageModel
    weight: float = 1.0
    name: str = "The teacher"
    tokenizer: DistilBertTokenizerFast | ForeignTokenizer | None = None
    reading: Reading | None = None

    @property
    def width(self) -> int:
        """D of its states."""
        model = self.model
        return model.width if isinstance(model, ForeignLanguageModel) else model.config.dim

    @property
    def longest(self) -> int:
        """Tokens of the longest row that it reads."""
        own = self.tokenizer
        if isinstance(own, ForeignTokenizer):
            return own.max_length
        return int(self.model.config.max_position_embeddings)

    def facts(self) -> dict[str, Any]:
        """What ``distilbert.json`` says of it."""
        model = self.model
        if isinstance(model, ForeignLanguageModel):
            said = model.facts()
        else:
            said = {"model_type": model.config.model_type, "n_layers": model.config.n_layers}
        return {**said, "weights": fingerprint(model.arrays())}

    @cached_property
    def kinds(self) -> "tuple[_Kind, ...]":
        """Where it reads by itself: which logits of both models are of the same words."""
        assert self.reading is not None
        device = next(self.model.parameters()).device
        shared = self.reading.shared
        return tuple(_Kind.of(shared, kind, device) for kind in range(len(shared.same)))


class Told(NamedTuple):
    """Logits of a student and a teacher over the same words.

    Attributes:
        own: the student's [t, V'].
        theirs: the teacher's.
        rows: which of the tokens that were asked about these are; None for all.
        names: from ids of the student's to places in V'; None where these are the same.
    """

    own: Tensor
    theirs: Tensor
    rows: Tensor | None = None
    names: Tensor | None = None


@dataclass(frozen=True)
class Heard:
    """What a teacher says of a batch.

    Attributes:
        teacher: whose it is.
        states: [T, D] before, between and after its blocks, or after the last one alone; a row for each of
            the student's tokens.
        widen: from the student's states to the width of these.
        spoken: the tokens about which it says something; None for all.
        kinds: of each token that is asked about, by which kind it is shared; -1 where it is not.
        words: from places among the tokens that are asked about to the teacher's logits.
    """

    teacher: Teacher
    states: Sequence[Tensor]
    widen: nn.Module
    spoken: Tensor | None
    kinds: Tensor | None
    words: Callable[[Any], Tensor]

    def among(self, places: Tensor) -> Tensor:
        """Those of these places about which the teacher says something."""
        return places if self.spoken is None else places[self.spoken[places]]

    def told(self, logits_TV: Tensor, rows: slice) -> Iterator[Told]:
        """Both models' logits of some of the tokens that were asked about."""
        if self.kinds is None:
            with torch.no_grad():
                theirs = self.words(rows)
            yield Told(logits_TV, theirs)
            return
        for number, kind in enumerate(self.teacher.kinds):
            inside = (self.kinds[rows] == number).nonzero()[:, 0]
            if len(inside):
                with torch.no_grad():
                    theirs = kind.of_teacher(self.words(inside + rows.start))
                yield Told(logits_TV[inside][:, kind.own], theirs, inside, kind.names)


@dataclass(frozen=True)
class _Kind:
    """The words of one kind that two vocabularies share.

    Attributes:
        own: the student's ids, ascending [K].
        theirs: the teacher's ids [M]; several may be one word to the student.
        word: which of ``own`` each of them is, [M]; None where it is one for one.
        names: from ids of the student's to places in ``own``, 0 for others.
    """

    own: Tensor
    theirs: Tensor
    word: Tensor | None
    names: Tensor

    @classmethod
    def of(cls, shared: Shared, kind: int, device: torch.device) -> "_Kind":
        own, theirs = (torch.from_numpy(ids).to(device) for ids in shared.pairs(kind))
        distinct, word = own.unique_consecutive(return_inverse=True)
        names = torch.zeros(shared.size, dtype=torch.long, device=device)
        names[distinct] = torch.arange(len(distinct), device=device)
        return cls(distinct, theirs, word if len(distinct) < len(own) else None, names)

    def of_teacher(self, logits_TV: Tensor) -> Tensor:
        """The teacher's logits of the words, [t, K]; a word is as likely as all its tokens together."""
        x_TM = logits_TV[:, self.theirs]
        if self.word is None:
            return x_TM
        x_TM = x_TM.to(torch.promote_types(x_TM.dtype, torch.float32))
        word_TM = self.word.expand_as(x_TM)
        most_TK = x_TM.new_full((len(x_TM), len(self.own)), float("-inf"))
        most_TK = most_TK.scatter_reduce(1, word_TM, x_TM, "amax")
        parts_TM = (x_TM - most_TK.gather(1, word_TM)).exp()
        return most_TK + torch.zeros_like(most_TK).scatter_add(1, word_TM, parts_TM).log()


def states_of(model: MaskedLanguageModel, texts: PackedBatch, *, layers: bool = False) -> Sequence[Tensor]:
    """The hidden states of a batch, text after text, [T, D]: of all layers, or the last ones alone."""
    output = model.encoder(texts, output_hidden_states=layers, return_dict=True)
    return output.hidden_states if layers else (output.last_hidden_state,)


def hear(
    teacher: Teacher, widen: nn.Module, given: Mapping[str, Any], read: Mapping[str, Any] | None,
    at_C: Tensor, *, layers: bool = False,
) -> Heard:  # fmt: skip
    """What a teacher says of a batch.

    Args:
        teacher: who.
        widen: from the student's states to the width of the teacher's.
        given: the batch as the student reads it.
        read: as the teacher reads it, where that is another way.
        at_C: the tokens about whose words it is asked.
        layers: with the states of all layers.
    """
    texts: PackedBatch = (given if read is None else read)["texts"]
    places_T = None if read is None else read["places"].clamp(min=0)
    at = at_C if places_T is None else places_T[at_C]
    model = teacher.model
    with torch.no_grad():
        if isinstance(model, ForeignLanguageModel):
            found, words = model.listen(texts, at, layers=layers)
            states: Sequence[Tensor] = found
        else:
            states = states_of(model, texts, layers=layers)
            words = _telling(model, states[-1][at])
        if read is None or places_T is None:
            return Heard(teacher, states, widen, None, None, words)
        states = [x_TD[places_T] for x_TD in states]
    return Heard(teacher, states, widen, read["places"] >= 0, read["kinds"][at_C], words)


def _telling(model: MaskedLanguageModel, states_CD: Tensor) -> Callable[[Any], Tensor]:
    return lambda rows: model.token_logits(states_CD[rows])
