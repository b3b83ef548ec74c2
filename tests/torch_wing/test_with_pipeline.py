"""``pipeline(model=ours, tokenizer=ours)`` of the peer's: the answers of its own two."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peer import peer_of
from pipeline_cases import TASKS, same
from tiny import TEXTS, tiny, tokenizers
from transformers import pipeline


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    return tokenizers(tmp_path_factory.mktemp("vocabulary"))


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
