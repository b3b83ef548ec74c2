"""What docs/migrating.md says of calls, done with the peer's models and with ours."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from models import CONFIGS, batch, scatter
from peer import peer_of, transformers
from surface import DOCUMENT

import distilbert
from distilbert.errors import ConfigError, DataError, DistilBertError

IDS, MASK = batch(CONFIGS["usual"], rows=2)
MASK[1, 1:] = 0


def pair(head: str, **changes: Any) -> tuple[Any, Any]:
    config = distilbert.DistilBertConfig.from_dict(CONFIGS["usual"].to_dict(), **changes)
    ours = scatter(getattr(distilbert, f"DistilBert{head}")(config))
    return ours, peer_of(ours)


def test_the_table_says_what_is_tested_here() -> None:
    for subject in (
        "an unknown keyword", "all labels -100", "labels at padding", "`problem_type`", "`output.pop(...)`",
        "`chunk_size_feed_forward`", "a hook inside", "masks for each pair",
        "below the padding id", "`save_pretrained(is_main_process", "the loss of a question",
    ):  # fmt: skip
        assert f"| {subject}" in DOCUMENT or f"{subject} |" in DOCUMENT, subject


def test_labels_that_do_not_count() -> None:
    ours, theirs = pair("ForMaskedLM")
    ignored = torch.full_like(IDS, -100)
    assert math.isnan(theirs(IDS, labels=ignored).loss.item())
    loss = ours(IDS, labels=ignored).loss
    loss.backward()
    assert loss == 0
    assert not any(p.grad.any() for p in ours.parameters() if p.grad is not None)
    for head in ("ForMaskedLM", "ForTokenClassification"):
        ours, theirs = pair(head)
        labels = IDS % 2
        hidden = labels.masked_fill(MASK == 0, -100)
        losses = [
            model(IDS, MASK, labels=which).loss.item()
            for model in (ours, theirs)
            for which in (labels, hidden)
        ]
        assert losses[0] == losses[1] == pytest.approx(losses[3], abs=1e-5)
        assert abs(losses[2] - losses[3]) > 1e-3


def test_limits_of_answers_at_padding() -> None:
    ours, theirs = pair("ForQuestionAnswering")
    at = torch.tensor([2, 0])
    mine, peers = (model(IDS, MASK, start_positions=at, end_positions=at) for model in (ours, theirs))
    assert abs(mine.loss - peers.loss) > 1e-3
    lowest = torch.finfo(torch.float32).min
    assert (mine.start_logits[MASK == 0] == lowest).all()
    hidden = [logits.masked_fill(MASK == 0, lowest) for logits in (peers.start_logits, peers.end_logits)]
    masked = sum(torch.nn.functional.cross_entropy(logits, at) for logits in hidden) / 2
    assert mine.loss.item() == pytest.approx(masked.item(), abs=1e-5)
    nowhere = torch.tensor([2, 5])  # the second is padding
    only_first = [ours(IDS[:1], start_positions=at[:1], end_positions=at[:1]).loss,
                  ours(IDS, MASK, start_positions=nowhere, end_positions=nowhere).loss]  # fmt: skip
    assert only_first[0].item() == pytest.approx(only_first[1].item(), abs=1e-5)


def test_what_a_loss_writes_into_the_configuration() -> None:
    ours, theirs = pair("ForSequenceClassification")
    for model in (ours, theirs):
        model(IDS, labels=IDS[:, 0] % 2)
    assert (ours.config.problem_type, theirs.config.problem_type) == (None, "single_label_classification")


def test_what_an_output_is() -> None:
    ours, theirs = (model(IDS, labels=IDS) for model in pair("ForMaskedLM"))
    assert list(theirs) == list(ours) == ["loss", "logits"]
    logits = ours.logits
    with pytest.raises(Exception, match="pop"):
        theirs.pop("logits")
    assert ours.pop("logits") is logits


def test_calls_that_one_of_the_two_refuses(tmp_path: Path) -> None:
    ours, theirs = pair("Model", chunk_size_feed_forward=5)
    with pytest.raises(ValueError, match="multiple"):
        theirs(IDS)
    assert ours(IDS)[0].shape == (2, 12, 32)
    ours, theirs = pair("Model")
    pairs = torch.ones(2, 1, 12, 12, dtype=torch.bool)
    with pytest.raises(ValueError, match="unpack"):
        theirs(IDS, pairs)
    assert torch.allclose(ours(IDS, pairs)[0], ours(IDS)[0], atol=1e-5)
    assert theirs(IDS, MASK * 0.5)[0].shape == (2, 12, 32)
    with pytest.raises(DataError):
        ours(IDS, MASK * 0.5)
    for model in (ours, theirs):
        with pytest.raises(TypeError, match="attention_masks"):
            model(IDS, attention_masks=MASK)
    for name in ("position_ids", "token_type_ids"):
        with pytest.raises(TypeError, match=name):
            theirs(IDS, **{name: IDS * 0})
        assert ours(IDS, **{name: IDS * 0})[0].shape == (2, 12, 32)
    ours, theirs = pair("Model", pad_token_id=50)
    theirs.resize_token_embeddings(40)
    assert theirs.get_input_embeddings().padding_idx is None
    with pytest.raises(ConfigError):
        ours.resize_token_embeddings(40)
    for model in (ours, theirs):
        model.save_pretrained(tmp_path / type(model).__module__[0], is_main_process=False)
    assert not (tmp_path / "d").exists()
    assert (tmp_path / "t" / "model.safetensors").exists()


def test_what_a_hook_sees() -> None:
    ours, theirs = pair("ForTokenClassification")
    for model, shape in ((theirs, (2, 12, 32)), (ours, (13, 32))):
        seen: list[tuple[int, ...]] = []
        model.distilbert.register_forward_hook(lambda _, __, out, seen=seen: seen.append(tuple(out[0].shape)))
        model(IDS, MASK)
        assert seen == [shape]
    ours.set_attention("sdpa", packing=False)
    seen.clear()
    ours(IDS, MASK)
    assert seen == [(2, 12, 32)]


def test_a_wrong_id_is_said_before_a_kernel_meets_it() -> None:
    ours, theirs = pair("Model")
    with pytest.raises(IndexError, match="index out of range"):
        theirs(IDS + 60)
    with pytest.raises(DataError, match="row 0, column 0"):
        ours(IDS + 60)
    long = torch.ones(1, 30, dtype=torch.long)
    for model, kind in ((theirs, RuntimeError), (ours, DistilBertError)):
        with pytest.raises(kind):
            model(long)
    assert transformers.__version__ == "4.57.6"
