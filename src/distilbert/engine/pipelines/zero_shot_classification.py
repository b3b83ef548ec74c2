"""Which of any classes a text is of, by a model that tells whether one text follows from another."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distilbert.core.data.token_rows import Array
from distilbert.core.parameters import Head
from distilbert.core.reference import log_softmax
from distilbert.core.teachers.entailment import HYPOTHESIS, class_logits, each_class, hypotheses, outcomes
from distilbert.engine.long_rows import in_windows, mean_of_one
from distilbert.engine.long_texts import WHOLE, refuse_long, rows_of
from distilbert.engine.pipelines.abstract import Begun, Pipeline, a_text


@dataclass(frozen=True)
class _State:
    texts: list[str]
    labels: list[str]
    windows: Any


class ZeroShotClassification(Pipeline):
    """``{"sequence": …, "labels": […], "scores": […]}``, the likeliest first.

    Options: ``candidate_labels`` (a list, or a text with commas between), ``hypothesis_template``,
    ``multi_label``: whether several labels may hold.
    """

    head = Head.SEQUENCE_CLASSIFICATION

    def __call__(self, inputs: Any, candidate_labels: Any = None, **options: Any) -> Any:
        """The labels may stand second."""
        if candidate_labels is not None:
            options["candidate_labels"] = candidate_labels
        return super().__call__(inputs, **options)

    def _begin(
        self,
        given: list[Any],
        *,
        on_long: str,
        candidate_labels: Any = (),
        hypothesis_template: str = HYPOTHESIS,
    ) -> Begun:
        labels = _labels(candidate_labels)
        said = hypotheses(hypothesis_template, labels)
        texts = [a_text(one) for one in given]
        whole = on_long != "truncate"
        made = self.reader.rows(
            [text for text in texts for _ in said],
            said * len(texts),
            max_length=WHOLE if whole else self.max_length,
            cut="only_first",
        )
        rows = rows_of(made)
        if on_long == "error":
            long = [i for i, row in enumerate(rows) if len(row.ids) > self.max_length]
            refuse_long([f"input {i // len(said)}" for i in long], self.max_length)
        windows = in_windows(rows, self.max_length)
        state = _State(texts, labels, windows)
        cut = int(np.count_nonzero(made.dropped)) + windows.cut
        return Begun(state, windows.rows, cut, int(made.dropped.sum()) + windows.dropped, windows.windowed)

    def _answers(
        self, state: _State, found: list[tuple[Array, ...]], *, multi_label: bool = False
    ) -> Iterable[Any]:
        logits = np.stack(state.windows.merged([own for own, *_ in found], mean_of_one()))
        logits_NCO = logits.astype(np.float64).reshape(len(state.texts), len(state.labels), -1)
        which = outcomes(self.config.id2label)
        if multi_label or len(state.labels) == 1:
            scores_NC = each_class(logits_NCO, which)
        else:
            scores_NC = np.exp(log_softmax(class_logits(logits_NCO, which)))
        for text, scores in zip(state.texts, scores_NC, strict=True):
            order = np.argsort(-scores, kind="stable")
            yield {
                "sequence": text,
                "labels": [state.labels[i] for i in order],
                "scores": scores[order].tolist(),
            }


def _labels(given: Any) -> list[str]:
    if isinstance(given, str):
        return [part.strip() for part in given.split(",") if part.strip()]
    return [a_text(label) for label in given] if isinstance(given, Sequence) else list(given)
