"""What a compression learns from, and what it keeps back: rows that choose, and others that decide."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from distilbert.compression.target import Target
from distilbert.core.copies import fingerprint_of
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.reading import Table, as_examples, task_named
from distilbert.core.tasks.regression import Regression
from distilbert.core.tasks.sequence_classification import SequenceClassification
from distilbert.core.tasks.splitting import split
from distilbert.errors import ConfigError

#: Of the training data what is held out where nothing else is given; half of it chooses, half decides.
HELD_OUT = 0.2

#: What is compressed.
_TASKS = (SequenceClassification, Regression)


@dataclass(frozen=True)
class Data:
    """
    Attributes:
        task: that the labelled rows set.
        train: labelled rows to learn from.
        more: texts, or rows, without labels.
        choosing: held-out rows by which candidates are compared, and 8 bits set and gated.
        deciding: others, which nothing was learnt, set or chosen by: they decide the target.
    """

    task: Any
    train: Examples
    more: Examples | None
    choosing: Examples
    deciding: Examples

    @classmethod
    def of(
        cls,
        train: Table,
        texts: Iterable[str] | Table = (),
        *,
        evaluate: Table | None = None,
        target: Target,
        seed: int = 0,
    ) -> Self:
        """
        Args:
            train: labelled rows.
            texts: without labels: strings, or rows of pairs.
            evaluate: labelled rows that are held out; None holds a share of ``train`` out.
            target: that they are to decide.
            seed: of who is held out.

        Raises:
            ConfigError: a task that is not compressed.
            DataError: too few rows to decide the target, or a table that cannot be used.
        """
        known = as_examples(train, source="the training data")
        kind = task_named(known.task)
        if kind not in _TASKS:
            raise ConfigError(
                f"What is compressed answers {' or '.join(one.name for one in _TASKS)}.",
                received=f"examples for {kind.name}, {known.source}",
                remedy="Take the parts by themselves: distilbert finetune --teacher, then optimize.",
            )
        task = kind.of(known)
        if evaluate is None:
            known, held = split(known, share=HELD_OUT, seed=seed)
        else:
            held = as_examples(evaluate, task=kind.name, source="the evaluation data")
            task.truth(held, source="the evaluation data")
        assert held is not None
        target.refuse_few(len(held) // 2, source=f"half of {held.source}")
        choosing, deciding = split(held, share=0.5, seed=seed)
        assert deciding is not None
        return cls(task, known, _unlabelled(texts, task, held), choosing, deciding)

    def facts(self) -> dict[str, Any]:
        """What tells these data from others."""
        return {
            name: {"rows": len(part), "fingerprint": fingerprint_of(part.columns), "source": part.source}
            for name, part in self.parts().items()
        }

    def parts(self) -> dict[str, Examples]:
        """By name, those that there are."""
        parts = {
            "train": self.train,
            "texts": self.more,
            "choosing": self.choosing,
            "deciding": self.deciding,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def texts(self) -> list[str]:
        """All that is learnt from, as texts, both of a pair."""
        parts = [self.train, *([self.more] if self.more is not None else [])]
        columns = [
            part.columns[name] for part in parts for name in ("text", "text_b") if name in part.columns
        ]
        return [text for column in columns for text in column]


def _unlabelled(texts: Iterable[str] | Table, task: Any, held: Examples) -> Examples | None:
    """Texts without those that are held out, each once; None where there are none."""
    if isinstance(texts, Examples):
        rows = texts.without(task.target)
    else:
        given: list[Any] = list(texts)  # type: ignore[arg-type]  # a table of labelled texts is iterated, too
        if not given:
            return None
        if all(isinstance(text, str) for text in given):
            if task.pair:
                raise ConfigError(
                    "Unlabelled rows must be what the task reads: pairs.",
                    received="single texts",
                    remedy="Give a table with both texts of each.",
                )
            rows = Examples(task.name, {"text": given}, "the unlabelled texts")
        else:
            rows = as_examples(given, task=task.name, source="the unlabelled rows", labelled=False)
            rows = rows.without(task.target)
    names = [name for name in ("text", "text_b") if name in rows.columns]
    seen = {tuple(row) for row in held.rows(*names)}
    kept = []
    for i, row in enumerate(rows.rows(*names)):
        if row not in seen:
            seen.add(row)
            kept.append(i)
    return rows.take(kept) if kept else None
