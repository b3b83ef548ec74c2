"""Classes as hypotheses about a text (Yin et al. 2019): which output is entailment, what logits then say."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from distilbert.core.reference import log_softmax
from distilbert.errors import ConfigError

#: The published default.
HYPOTHESIS = "This example is {}."

Numbers = np.ndarray[Any, np.dtype[np.floating[Any]]]


class Outcomes(NamedTuple):
    """Which of a model's outputs say that a text entails a hypothesis, and that it contradicts it."""

    entailment: int
    contradiction: int | None


def entails(labels: Sequence[str]) -> bool:
    """Whether these are the labels of an entailment model."""
    return sum(_begins(label, "entail") for label in labels) == 1


def outcomes(id2label: Mapping[int, str]) -> Outcomes:
    """Found by the labels' names.

    Raises:
        ConfigError: none, or several, are called entailment.
    """
    found = [i for i, label in id2label.items() if _begins(label, "entail")]
    if len(found) != 1:
        raise ConfigError(
            "An entailment model must have one label whose name begins with entail.",
            received=", ".join(id2label.values()),
            remedy="Name its labels in config.json, under id2label: contradiction, neutral, entailment.",
        )
    against = [i for i, label in id2label.items() if _begins(label, "contra", "not", "non")]
    return Outcomes(found[0], against[0] if len(against) == 1 else None)


def hypotheses(template: str, classes: Sequence[str]) -> list[str]:
    """The template with each class in its place.

    Raises:
        ConfigError: it has no place, or there is no class, an empty one or one twice.
    """
    if "{}" not in template:
        raise ConfigError(
            "A hypothesis must have a place for the class: {}.",
            received=f"{template!r:.80}",
            remedy=f'Write one such as "{HYPOTHESIS}"',
        )
    if not classes or len(set(classes)) < len(classes) or not all(name.strip() for name in classes):
        raise ConfigError(
            "There must be classes, each with a name of its own.",
            received=", ".join(classes) or "none",
            remedy='Name each once: --classes "sports,politics"',
        )
    return [template.replace("{}", name) for name in classes]


def class_logits(logits_NCO: Numbers, found: Outcomes) -> Numbers:
    """Logits [N, C] of which one class holds, from a model's outputs [N, C, O] on each hypothesis."""
    return logits_NCO[..., found.entailment]


def each_class(logits_NCO: Numbers, found: Outcomes) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Probabilities [N, C] that each class holds, whatever the others: entailment against contradiction.

    Raises:
        ConfigError: no label is called contradiction.
    """
    if found.contradiction is None:
        raise ConfigError(
            "Classes of which several may hold need a model that tells contradictions.",
            received="labels of which none, or several, are called contradiction or not entailment",
            remedy="Name its labels in config.json, or ask which one class holds.",
        )
    both = logits_NCO[..., [found.contradiction, found.entailment]].astype(np.float64)
    return np.exp(log_softmax(both).astype(np.float64))[..., 1]


def _begins(label: str, *beginnings: str) -> bool:
    return label.strip().lower().startswith(beginnings)
