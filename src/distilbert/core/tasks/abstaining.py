"""Answers that are withheld where the model is not sure enough."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from distilbert.core import rules
from distilbert.core.tasks.task import Answered
from distilbert.errors import ConfigError

#: What is said in place of an answer.
UNSURE = "unsure"


def check_abstaining(task: Any, below: float | None) -> None:
    """Refuse what cannot be withheld.

    Args:
        task: of the model.
        below: the probability that an answer has to have.

    Raises:
        ConfigError: it is no probability, the task's answers have none of their own, or a label is called so.
    """
    if below is None:
        return
    rules.number(0, 1)("abstain_below", below)
    if task.name not in ("sequence-classification", "multiple-choice", "question-answering"):
        raise ConfigError(
            "Only an answer that has one probability can be withheld: a label, an option, a span.",
            received=f"abstain_below={below:g} and a model for {task.name}",
            remedy="Leave it out, and look at the scores of each answer.",
        )
    if UNSURE in getattr(task, "labels", ()):
        raise ConfigError(
            f"Where answers may be withheld, no label may be called {UNSURE!r}.",
            received=f"labels {', '.join(task.labels)}",
            remedy="Rename it and train again, or leave abstain_below out.",
        )


def withheld(answers: Sequence[Any], below: float | None) -> Sequence[Answered]:
    """The answers, "unsure" in place of those that are less likely than asked for; their scores stay."""
    if below is None:
        return answers
    return [_unsure(answer) if answer.score < below else answer for answer in answers]


def _unsure(answer: Any) -> Any:
    names = {field.name for field in fields(answer)}
    nowhere: dict[str, Any] = {"index": -1} if "index" in names else {}
    if "start" in names:
        nowhere = {"start": 0, "end": 0}
    return replace(answer, **{"label" if "label" in names else "answer": UNSURE}, **nowhere)
