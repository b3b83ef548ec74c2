"""What a teacher of a task is asked, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from distilbert.core.progress import Progress
from distilbert.errors import DataError

Numbers = np.ndarray[Any, np.dtype[np.floating[Any]]]
Known = np.ndarray[Any, np.dtype[np.bool_]]

#: What a teacher is asked about: a text, or the two of a pair.
Asked = str | tuple[str, str]

#: The logit of a probability of zero: it is zero at every temperature, and finite, so that no product of
#: a loss becomes one of zero and infinity.
NEVER = -1e4


@dataclass(frozen=True)
class Targets:
    """A teacher's answers to some texts.

    Attributes:
        logits: [texts, C], up to a constant in each row, or of several classes that may hold each its own;
            zeros where there is no answer.
        known: [texts], False where the teacher gave none.
    """

    logits: "np.ndarray[Any, np.dtype[np.float32]]"
    known: Known

    @classmethod
    def of_probabilities(cls, probabilities: Numbers, known: Known) -> Self:
        """From probabilities [texts, C]; rows without an answer may hold anything."""
        given = np.where(known[:, None], probabilities, 1.0)
        with np.errstate(divide="ignore"):
            logits = np.log(given.astype(np.float64))
        return cls(np.maximum(logits, NEVER).astype(np.float32), known)

    @classmethod
    def of_several(cls, probabilities: Numbers, known: Known) -> Self:
        """From the probability of each class, whatever the others, [texts, C]; likewise."""
        given = np.where(known[:, None], probabilities, 0.5).astype(np.float64)
        with np.errstate(divide="ignore"):
            logits = np.log(given) - np.log1p(-given)
        return cls(np.clip(logits, NEVER, -NEVER).astype(np.float32), known)

    @classmethod
    def all_known(cls, logits: "np.ndarray[Any, np.dtype[np.float32]]") -> Self:
        return cls(np.ascontiguousarray(logits), np.ones(len(logits), np.bool_))

    @property
    def probabilities(self) -> "np.ndarray[Any, np.dtype[np.float64]]":
        """[texts, C]; equal ones where there is no answer."""
        shifted = self.logits - self.logits.max(axis=1, keepdims=True, initial=NEVER)
        powers = np.exp(shifted.astype(np.float64))
        return powers / powers.sum(axis=1, keepdims=True)

    @property
    def answers(self) -> "np.ndarray[Any, np.dtype[np.int64]]":
        """The likeliest class of each text, [texts]."""
        return self.logits.argmax(axis=1)

    def of(self, rows: Any) -> Self:
        """Those of some texts."""
        return type(self)(np.ascontiguousarray(self.logits[rows]), self.known[rows])


class Teacher(Protocol):
    """Whoever says which class texts are of."""

    #: What kind of teacher it is, in two or three words.
    kind: ClassVar[str]
    #: Whether each answer costs something, so that none is asked for while a run is only planned.
    paid: ClassVar[bool]

    def targets(self, texts: Sequence[Any], labels: Sequence[str], *, progress: Progress) -> Targets:
        """Its answers, the classes in the order of ``labels``. Texts are strings; a file of labels is asked
        about pairs too.

        Raises:
            ConfigError: it knows other classes.
        """

    def facts(self) -> dict[str, Any]:
        """Where its answers come from, as far as that decides them."""

    def account(self) -> dict[str, Any]:
        """What its answers have come to so far: figures that another run of the same may differ in."""


@dataclass(frozen=True)
class Teaching:
    """What a student learns of its teacher, and what is kept back to judge both by.

    Attributes:
        labelled: answers to the labelled texts.
        unlabelled: the unlabelled texts that have an answer, with it.
        gold: answers to the texts that both are judged by; None where there are none.
        facts: of the teacher, and how many texts it answered.
        account: what its answers came to.
    """

    labelled: Targets
    unlabelled: tuple[list[Asked], Targets]
    gold: Targets | None
    facts: Mapping[str, Any]
    account: Mapping[str, Any]

    @property
    def all(self) -> Targets:
        """Answers to the labelled texts, and then to those of the unlabelled ones that have an answer."""
        one, other = self.labelled, self.unlabelled[1]
        return Targets(np.concatenate([one.logits, other.logits]), np.concatenate([one.known, other.known]))

    @classmethod
    def of(
        cls,
        teacher: Teacher,
        labels: Sequence[str],
        *,
        labelled: Sequence[Asked],
        unlabelled: Sequence[Asked],
        gold: Sequence[Asked] | None,
        progress: Progress,
    ) -> Self:
        """Ask a teacher. Texts to judge by come first: they are wanted most, should answers run out.

        Raises:
            ConfigError: it knows other classes.
            DataError: it has no answer to anything that is to be learnt from.
        """
        judged = None if gold is None else _asked(teacher, gold, labels, progress)
        found = _asked(teacher, [*labelled, *unlabelled], labels, progress)
        if not found.known.any():
            raise DataError(
                "A teacher must answer some of the texts that are learnt from.",
                received=f"no answer to any of {len(found.known)} texts from this {teacher.kind}",
                remedy="Check that its texts are those of the training data, letter by letter.",
            )
        first, more = np.split(np.arange(len(found.known)), [len(labelled)])
        heard = more[found.known[more]]
        facts = {
            "kind": teacher.kind,
            **teacher.facts(),
            "answered": int(found.known.sum()),
            "unanswered": int((~found.known).sum()),
        }
        return cls(
            found.of(first),
            ([unlabelled[row - len(labelled)] for row in heard], found.of(heard)),
            judged,
            facts,
            teacher.account(),
        )


def _asked(teacher: Teacher, texts: Sequence[Asked], labels: Sequence[str], progress: Progress) -> Targets:
    """What a teacher answers, if that is what an answer has to be: anybody may have written the teacher."""
    found = teacher.targets(texts, labels, progress=progress)
    wanted = (len(texts), len(labels))
    if found.logits.shape != wanted or found.known.shape != wanted[:1] or not np.isfinite(found.logits).all():
        raise DataError(
            "A teacher must answer each text with a finite logit for each label.",
            received=f"{list(found.logits.shape)} logits and {list(found.known.shape)} marks of being known, "
            f"for {wanted[0]} texts and {wanted[1]} labels",
            remedy="Correct its method targets; where it does not know, say so in known.",
        )
    return found


class Unasked:
    """Stands for a paid teacher while a run is only planned: every class is as likely to it."""

    kind: ClassVar[str] = "teacher that was not asked"
    paid: ClassVar[bool] = False

    def targets(self, texts: Sequence[Any], labels: Sequence[str], *, progress: Progress) -> Targets:
        return Targets.all_known(np.zeros((len(texts), len(labels)), np.float32))

    def facts(self) -> dict[str, Any]:
        return {}

    def account(self) -> dict[str, Any]:
        return {}
