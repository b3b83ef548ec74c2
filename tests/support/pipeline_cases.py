"""Pipelines of published tasks: their models and their calls, and answers held against each other."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny import TEXTS

#: Scores are softmaxes of fp32 logits.
ATOL = 1e-5

TAGS = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC", 4: "I-LOC"}
CLASSES = {"id2label": {0: "bad", 1: "so so", 2: "good"}}
ENTAILED = {"id2label": {0: "contradiction", 1: "neutral", 2: "entailment"}}
LONG = " ".join(TEXTS * 3)


def numbers(answer: Any) -> Any:
    """An answer with its numbers as plain ones, for approximate equality."""
    if isinstance(answer, dict):
        return {key: numbers(value) for key, value in answer.items()}
    if isinstance(answer, list | tuple):
        return [numbers(value) for value in answer]
    if isinstance(answer, torch.Tensor):
        return numbers(answer.tolist())
    return pytest.approx(float(answer), abs=ATOL) if hasattr(answer, "__float__") else answer


def same(answer: Any, wanted: Any) -> bool:
    return bool(answer == numbers(wanted))


#: The task, the class, the configuration's fields, the pipeline's own settings, and a call.
TASKS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any], Callable[[Any], Any]]] = {
    "classes": (
        "text-classification", "SequenceClassification", CLASSES, {}, lambda p: p(list(TEXTS), batch_size=4),
    ),
    "all classes of a pair": (
        "text-classification", "SequenceClassification", CLASSES, {"top_k": None},
        lambda p: p({"text": TEXTS[0], "text_pair": TEXTS[1]}),
    ),
    "several classes": (
        "text-classification", "SequenceClassification",
        {**CLASSES, "problem_type": "multi_label_classification"}, {"top_k": None}, lambda p: p(TEXTS[0]),
    ),
    "zero-shot": (
        "zero-shot-classification", "SequenceClassification", ENTAILED, {},
        lambda p: p(TEXTS[0], candidate_labels=["work", "film"]),
    ),
    "masks": (
        "fill-mask", "MaskedLM", {}, {"top_k": 4},
        lambda p: p(["paris is the [MASK] of france .", "no [MASK] [MASK]"]),
    ),
    "masks with targets": (
        "fill-mask", "MaskedLM", {}, {}, lambda p: p("it is [MASK]", targets=["bad", "rare"]),
    ),
    **{
        f"entities, {how}": (
            "ner", "TokenClassification", {"id2label": TAGS}, {"aggregation_strategy": how},
            lambda p: p([*TEXTS, "it is acme.", "unlikes!unlivable"]),
        )
        for how in ("none", "simple", "first", "average", "max")
    },
    "entities in windows": (
        "ner", "TokenClassification", {"id2label": TAGS}, {"aggregation_strategy": "simple", "stride": 4},
        lambda p: p(LONG),
    ),
    "answers": (
        "question-answering", "QuestionAnswering", {}, {},
        lambda p: p(question="what is it", context=TEXTS[2], top_k=3),
    ),
    "answers in windows": (
        "question-answering", "QuestionAnswering", {}, {},
        lambda p: p(question="what is it", context=LONG, max_seq_len=20, doc_stride=6, top_k=3,
                    handle_impossible_answer=True),
    ),
}  # fmt: skip
