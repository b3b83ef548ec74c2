"""What a user may do to a model or to its results, and must not lose anything by."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import tiny, tiny_config

import distilbert
from distilbert import AutoConfig, AutoModel, DistilBertConfig, PackedBatch, pack
from distilbert.core.outputs import SequenceClassifierOutput
from distilbert.errors import ConfigError, DataError, MissingExtraError
from distilbert.torch import varlen

IDS = torch.arange(20).view(4, 5) % 7 + 1


def test_a_result_that_is_set_is_set_under_every_access() -> None:
    output = tiny("DistilBertForSequenceClassification")(IDS, labels=torch.tensor([0, 1, 1, 0]))
    output.loss = output.loss * 100
    assert output.loss is output["loss"] is output[0]
    later = SequenceClassifierOutput(logits=output.logits)
    later.loss = output.loss  # as a forward of one's own does, which Trainer reads by key and by place
    assert list(later) == ["loss", "logits"]
    assert later.to_tuple()[0] is output.loss
    later.loss = None
    assert list(later) == ["logits"]
    with pytest.raises(AttributeError, match="'logit'"):
        later.logit = 1
    later["input_ids"] = IDS  # as pipelines put what they have been given beside the results
    assert list(later) == ["logits", "input_ids"]


def test_tied_stays_tied_whatever_is_put_in(tmp_path: Path) -> None:
    model = tiny("DistilBertForMaskedLM")
    model.set_output_embeddings(torch.nn.Linear(32, 60))
    before = model(IDS).logits
    assert model.vocab_projector.weight is model.get_input_embeddings().weight
    assert torch.equal(model.to(torch.float32)(IDS).logits, before)
    for put in (model.set_input_embeddings, model.base_model.set_input_embeddings):
        with pytest.raises(ConfigError, match="resize_token_embeddings"):
            put(torch.nn.Embedding(100, 32))
    model.base_model.set_input_embeddings(torch.nn.Embedding(60, 32))
    with pytest.raises(ConfigError, match="calls tied, and is not"):
        model.save_pretrained(tmp_path)
    model.tie_weights()
    model.save_pretrained(tmp_path)
    read = type(model).from_pretrained(tmp_path)
    assert torch.equal(read(IDS).logits, model.eval()(IDS).logits)


def test_what_would_be_lost_or_misread_is_not_saved(tmp_path: Path) -> None:
    model = tiny("DistilBertForSequenceClassification")
    model.register_buffer("own", torch.ones(3))
    with pytest.raises(ConfigError, match="own"):
        model.save_pretrained(tmp_path)
    model = tiny("DistilBertForSequenceClassification")
    model.classifier = torch.nn.Linear(32, 5)
    with pytest.raises(ConfigError, match=r"\[5, 32\] in the place of \[2, 32\]"):
        model.save_pretrained(tmp_path)
    model.classifier = torch.nn.Sequential(torch.nn.Linear(32, 2))
    with pytest.raises(ConfigError, match=r"no classifier\.weight"):
        model.save_pretrained(tmp_path)
    assert not any(tmp_path.iterdir())


def test_new_words_of_a_large_table_take_little_memory() -> None:
    """Drawing them as weighted sums of all old rows would take rows times rows."""
    model = distilbert.DistilBertModel(tiny_config(vocab_size=20_000, n_layers=1))
    from torch.profiler import profile

    with profile(profile_memory=True) as seen:
        model.resize_token_embeddings(30_000)
    largest = max(abs(event.self_cpu_memory_usage) for event in seen.key_averages())
    assert largest < 20 * 20_000 * 32 * 8


@pytest.mark.parametrize("lowest", [-1e9, -1e5, float("-inf")])
def test_masks_of_a_wider_type_stay_finite_in_half_precision(lowest: float) -> None:
    mask = torch.zeros(4, 1, 5, 5)
    mask[:, :, :, 3:] = lowest
    model = tiny("DistilBertModel").half()
    with torch.no_grad():
        fused = model(IDS, mask).last_hidden_state
        model.set_attention("eager")
        eager = model(IDS, mask).last_hidden_state
    torch.testing.assert_close(fused, eager, rtol=0, atol=2e-2)


@pytest.mark.parametrize(
    ("head", "given"),
    [
        ("SequenceClassification", {"labels": [0, 1, 0, 1]}),
        ("SequenceClassification", {"labels": torch.tensor([[0, 1], [1, 0]])}),
        ("SequenceClassification", {"labels": torch.rand(2, 4)}),
        ("TokenClassification", {"labels": IDS.tolist()}),
        ("QuestionAnswering", {"start_positions": 1, "end_positions": 2}),
        ("QuestionAnswering", {"start_positions": IDS[:1, :4], "end_positions": IDS[:1, :4]}),
        ("QuestionAnswering", {"start_positions": torch.rand(4), "end_positions": torch.rand(4)}),
    ],
)
def test_labels_of_another_shape_or_kind_are_refused(head: str, given: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="Received"):
        tiny(f"DistilBertFor{head}")(IDS, **given)


def test_labels_of_a_small_type_count_as_others() -> None:
    model = tiny("DistilBertForQuestionAnswering")
    mask = torch.ones_like(IDS)
    mask[0, 3:] = 0
    at = torch.tensor([4, 1, 2, 3])  # the first is at padding
    told = model(IDS, mask, start_positions=at, end_positions=at).loss
    small = at.to(torch.uint8)
    assert torch.equal(model(IDS, mask, start_positions=small, end_positions=small).loss, told)


@pytest.mark.parametrize(
    "make",
    [
        lambda: PackedBatch([[1]], [[0]], [[1]]),
        lambda: PackedBatch(*[torch.ones(1, 2, dtype=torch.long)] * 3),
        lambda: PackedBatch(*[np.ones((1, 2))] * 3),
        lambda: PackedBatch(*[np.ones((1, 2), int)] * 2, np.array([[1, -1]])),
        lambda: tiny("DistilBertModel")(IDS.to(torch.int16)),
    ],
)
def test_arrays_of_another_kind_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(DataError, match="Received"):
        make()


def test_what_fails_to_be_chosen_leaves_the_model_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking() -> None:
        raise MissingExtraError.of("torch", wanted="flash_attention_2", missing="a kernel")

    monkeypatch.setattr(varlen, "find_kernel", lacking)
    model = tiny("DistilBertModel")
    with pytest.raises(MissingExtraError):
        model.set_attention("flash_attention_2", packing=False)
    assert (model.config.attn_implementation, model.packing) == ("sdpa", True)
    assert model(IDS)[0].shape == (4, 5, 32)


def test_a_packed_batch_is_not_compiled() -> None:
    model = torch.compile(tiny("DistilBertModel"), backend="eager")
    with pytest.raises((DataError, torch._dynamo.exc.Unsupported), match="packed batch"):
        model(pack([[1, 2, 3], [4, 5]]))


@pytest.mark.parametrize("name", ["dtype", "torch_dtype"])
def test_a_new_model_has_the_type_that_is_asked_for(name: str) -> None:
    config = DistilBertConfig.from_dict(tiny_config().to_dict())
    assert AutoModel.from_config(config, **{name: torch.bfloat16}).dtype == torch.bfloat16
    assert AutoModel.from_config(config).dtype == torch.float32


def test_a_configuration_may_be_named_by_its_file(tmp_path: Path) -> None:
    config = tiny_config()
    AutoModel.from_config(config).save_pretrained(tmp_path)
    other = tmp_path / "other.json"
    DistilBertConfig.from_dict(config.to_dict(), dropout=0.3).to_json_file(other)
    assert AutoModel.from_pretrained(tmp_path, config=str(other)).config.dropout == 0.3
    assert AutoConfig.from_pretrained(other).dropout == 0.3
