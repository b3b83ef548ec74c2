"""What a model cannot read is refused in the words of PyTorch's wing, before anything is compiled."""

from typing import Any

import numpy as np
import pytest
import torch
from jax_twins import twin_of
from tiny import tiny

import distilbert
from distilbert.errors import DataError, DistilBertError

jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'distilbert[jax]'")

import distilbert.jax as wing  # noqa: E402  # after the skip
from distilbert.jax import calling  # noqa: E402

IDS = np.array([[1, 2, 3, 4, 5], [6, 7, 8, 0, 0]])
ONES = np.ones((2, 5), int)
PAIRS = np.ones((2, 1, 5, 5), bool)
HEADS = ("Model", "ForMaskedLM", "ForSequenceClassification", "ForMultipleChoice", "ForTokenClassification",
         "ForQuestionAnswering")  # fmt: skip
TORCH = {head: tiny(f"DistilBert{head}", n_layers=1) for head in HEADS}
TWINS = {head: twin_of(model) for head, model in TORCH.items()}
RIGHT = np.array([1, 2])

CASES: list[tuple[str, dict[str, Any]]] = [
    *[
        ("Model", given)
        for given in (
            {"input_ids": None},
            {"inputs_embeds": np.ones((2, 5, 32), np.float32)},
            {"input_ids": IDS[0]},
            {"input_ids": IDS.astype(np.float32)},
            {"input_ids": IDS[None]},
            {"input_ids": IDS[:, :0]},
            {"input_ids": IDS * 20},
            {"input_ids": IDS - 2},
            {"input_ids": np.ones((1, 25), int)},
            {"input_ids": None, "inputs_embeds": np.ones((2, 5, 7), np.float32)},
            {"input_ids": None, "inputs_embeds": np.ones((2, 5, 32), int)},
            {"input_ids": None, "inputs_embeds": np.ones((2, 5, 32))},
            {"attention_mask": ONES[:, :4]},
            {"attention_mask": ONES * 2},
            {"attention_mask": ONES * np.nan},
            {"attention_mask": ONES.astype(np.complex64)},
            {"attention_mask": PAIRS.astype(int)},
            {"attention_mask": PAIRS[..., :4]},
            {"attention_mask": np.ones((2, 3, 5, 5), bool)},
            {"head_mask": np.ones(3, np.float32)},
            {"head_mask": np.ones(4, np.complex64)},
            {"position_ids": ONES[:, :3]},
            {"position_ids": ONES.astype(np.float32)},
            {"position_ids": ONES - 2},
            {"position_ids": ONES * 24},
            {"token_type_ids": ONES},
            {"token_type_ids": ONES[:, :3] * 0},
            {"input_ids": distilbert.pack([[1, 2], [3, 60]])},
            {"input_ids": distilbert.pack([[1, 2], [3]]), "attention_mask": ONES},
            {"input_ids": distilbert.pack([[1, 2], [3]]), "output_attentions": True},
        )
    ],
    ("ForMaskedLM", {"labels": ONES[:, :4]}),
    ("ForMaskedLM", {"labels": ONES.astype(np.float32)}),
    ("ForMaskedLM", {"labels": ONES * 60}),
    ("ForTokenClassification", {"labels": ONES * 2}),
    ("ForTokenClassification", {"labels": ONES * -1}),
    ("ForSequenceClassification", {"labels": np.array([0, 2])}),
    ("ForSequenceClassification", {"labels": np.array([0, 1, 1])}),
    ("ForSequenceClassification", {"labels": np.array([0.5, 0.5], np.float32)}),
    ("ForSequenceClassification", {"labels": np.array([[0.0, 1], [3, 0]], np.float32)}),
    ("ForSequenceClassification", {"labels": np.ones((2, 2), np.complex64)}),
    ("ForMultipleChoice", {}),
    ("ForMultipleChoice", {"input_ids": IDS[None], "labels": np.array([2])}),
    ("ForMultipleChoice", {"input_ids": IDS[None], "labels": np.array([0, 1])}),
    ("ForMultipleChoice", {"input_ids": IDS[:0].reshape(2, 0, 5)}),
    ("ForMultipleChoice", {"input_ids": IDS[None] * 20}),
    ("ForMultipleChoice", {"input_ids": IDS[None, :, :0]}),
    ("ForQuestionAnswering", {"start_positions": np.array([1]), "end_positions": RIGHT}),
    ("ForQuestionAnswering", {"start_positions": RIGHT, "end_positions": np.array([0.5, 1], np.float32)}),
]  # fmt: skip


def tensors(given: dict[str, Any]) -> dict[str, Any]:
    return {key: torch.from_numpy(x) if isinstance(x, np.ndarray) else x for key, x in given.items()}


@pytest.mark.parametrize(("head", "given"), CASES)
def test_the_sentences_are_torch_s(head: str, given: dict[str, Any]) -> None:
    given = {"input_ids": IDS, **given}
    with pytest.raises(DistilBertError) as told:
        TORCH[head](**tensors(given))
    before = calling.computed._cache_size()
    with pytest.raises(DistilBertError) as said:
        TWINS[head](**given)
    assert calling.computed._cache_size() == before
    assert type(said.value) is type(told.value)
    assert (said.value.rule, said.value.received) == (told.value.rule, told.value.received)


@pytest.mark.parametrize("head", HEADS)
def test_no_rows_have_no_answers(head: str) -> None:
    none = IDS[None, :0] if head == "ForMultipleChoice" else IDS[:0]
    none = none.reshape(0, 2, 5) if head == "ForMultipleChoice" else none
    told = TORCH[head](torch.from_numpy(none)).to_tuple()
    said = TWINS[head](none).to_tuple()
    assert [x.shape for x in said] == [tuple(x.shape) for x in told]


def test_a_remedy_is_one_for_arrays() -> None:
    with pytest.raises(DataError, match=r"Give inputs_embeds\.astype\(model\.dtype\)") as refused:
        TWINS["Model"](inputs_embeds=np.ones((2, 5, 32)))
    assert "float64" in str(refused.value)
    TWINS["Model"](inputs_embeds=np.ones((2, 5, 32)).astype(TWINS["Model"].dtype))


def test_shapes_are_refused_inside_a_compiled_function_too() -> None:
    with pytest.raises(DataError, match=r"shape of the batch.*\[2, 4\] for a batch \[2, 5\]"):
        jax.eval_shape(TWINS["Model"], IDS, ONES[:, :4])


def test_lists_are_no_arrays() -> None:
    with pytest.raises(DataError, match=r"input_ids must be an array of JAX or numpy.*return_tensors='np'"):
        TWINS["Model"](IDS.tolist())
    with pytest.raises(DataError, match=r"a dict.*model\(\*\*encoding\)"):
        TWINS["Model"]({"input_ids": IDS})


def test_another_configuration_is_refused() -> None:
    for other in (distilbert.BertConfig(), "folder"):
        with pytest.raises(DistilBertError) as told:
            distilbert.DistilBertModel(other)
        with pytest.raises(DistilBertError) as said:
            wing.DistilBertModel(other)
        assert str(said.value) == str(told.value)
    config = distilbert.DistilBertConfig.from_dict(TORCH["Model"].config.to_dict(), num_labels=3)
    with pytest.raises(DistilBertError, match="num_labels must be 2"):
        wing.DistilBertForQuestionAnswering(config)
