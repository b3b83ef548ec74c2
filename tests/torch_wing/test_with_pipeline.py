"""``pipeline(model=ours, tokenizer=ours)`` of the peer's: the answers of its own two."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peer import peer_of
from tiny import TEXTS, tiny, tokenizers
from transformers import pipeline

#: Scores are softmaxes of fp32 logits.
ATOL = 1e-5

TAGS = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC", 4: "I-LOC"}
CLASSES = {"id2label": {0: "bad", 1: "so so", 2: "good"}}
ENTAILED = {"id2label": {0: "contradiction", 1: "neutral", 2: "entailment"}}
LONG = " ".join(TEXTS * 3)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    return tokenizers(tmp_path_factory.mktemp("vocabulary"))


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


@pytest.mark.parametrize("name", TASKS)
def test_every_task_answers_as_the_peer_does(name: str, both: tuple[Any, Any]) -> None:
    task, head, fields, settings, call = TASKS[name]
    model = tiny(f"DistilBertFor{head}", vocab_size=len(both[0]), **fields)
    answers = []
    for which, tokenizer in zip((model, peer_of(model)), both, strict=True):
        tokenizer.model_max_length = 24  # of the tiny models
        answers.append(call(pipeline(task, model=which, tokenizer=tokenizer, device="cpu", **settings)))
    assert same(*answers)
    assert answers[0]
    # Another model would answer otherwise.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    other = call(pipeline(task, model=model, tokenizer=both[0], device="cpu", **settings))
    assert not same(other, answers[1])


def test_feature_extraction_reads_tuples(both: tuple[Any, Any]) -> None:
    """This pipeline takes a result by its number, after copying what is no class of the peer's into a plain
    dictionary, which has no numbers: so ours answers with tuples there.
    """
    model = tiny("DistilBertModel", vocab_size=len(both[0]))
    peer = peer_of(model)
    model.config.return_dict = False
    ours, theirs = (
        pipeline("feature-extraction", model=which, tokenizer=tokenizer, device="cpu")(list(TEXTS))
        for which, tokenizer in zip((model, peer), both, strict=True)
    )
    assert same(ours, theirs)
    assert len(ours) == len(TEXTS)


def test_a_pipeline_is_saved(both: tuple[Any, Any], tmp_path: Path) -> None:
    ours = pipeline(
        "fill-mask", model=tiny("DistilBertForMaskedLM", vocab_size=len(both[0])), tokenizer=both[0]
    )
    ours.save_pretrained(tmp_path)
    again = pipeline("fill-mask", model=str(tmp_path))
    assert same(again("it is [MASK]"), ours("it is [MASK]"))
