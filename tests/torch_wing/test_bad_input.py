"""What a model cannot read is refused before any kernel meets it, in words that help."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from models import CONFIGS, scatter

import distilbert
from distilbert.errors import ConfigError, DataError, DistilBertError
from distilbert.torch import batch as edge

CONFIG = CONFIGS["usual"]  # 60 words, 24 positions, width 32, 2 layers of 4 heads
IDS = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 8, 0, 0]])
BOTH = torch.ones(2, 5, dtype=torch.long)


def build(head: str = "Model", **changes: Any) -> Any:
    config = distilbert.DistilBertConfig.from_dict(CONFIG.to_dict(), **changes)
    return scatter(getattr(distilbert, f"DistilBert{head}")(config))


MODELS = {
    head: build(head)
    for head in ("Model", "ForMaskedLM", "ForSequenceClassification", "ForMultipleChoice",
                 "ForTokenClassification", "ForQuestionAnswering")
}  # fmt: skip


def refused(call: Callable[[], object], *words: str, kind: type[Exception] = DataError) -> None:
    """The rule, what was received and the remedy stand in one line with these words."""
    with pytest.raises(kind) as caught:
        call()
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 400
    assert isinstance(caught.value, ValueError | TypeError)
    if isinstance(caught.value, DistilBertError):
        assert "Received: " in said
    for word in words:
        assert word in said, (word, said)


@pytest.mark.parametrize("head", MODELS)
def test_both_or_neither_of_ids_and_embeddings(head: str) -> None:
    model = MODELS[head]
    ids = IDS[None] if "Choice" in head else IDS
    embeddings = torch.ones(*ids.shape, 32)
    refused(lambda: model(ids, inputs_embeds=embeddings), "input_ids or inputs_embeds", "both", "exactly one")
    refused(lambda: model(attention_mask=BOTH), "input_ids or inputs_embeds", "neither", "exactly one")
    assert model(inputs_embeds=embeddings)[0].shape == model(ids)[0].shape


@pytest.mark.parametrize("head", MODELS)
@pytest.mark.parametrize(("wrong", "said"), [(60, "60"), (-1, "-1"), (2**40, "1099511627776")])
def test_ids_outside_the_vocabulary(head: str, wrong: int, said: str) -> None:
    ids = IDS.clone()
    ids[1, 2] = wrong
    given = ids[None] if "Choice" in head else ids
    refused(
        lambda: MODELS[head](given, attention_mask=BOTH[None] if "Choice" in head else BOTH),
        "0 to 59", f"the id {said} in row {'0, choice 1' if 'Choice' in head else '1'}, column 2",
        "resize_token_embeddings(len(tokenizer))",
    )  # fmt: skip
    packed = distilbert.pack([[1, 2], [3, wrong]]) if head != "ForMultipleChoice" and wrong < 2**31 else None
    if packed is not None:
        refused(lambda: MODELS[head](packed), f"the id {said} in text 1, token 1")
        rows = distilbert.pack([[1, 2, 3, 4], [3, wrong], [5]], length=4)
        refused(lambda: MODELS[head](rows), f"the id {said} in text 1, token 1")


@pytest.mark.parametrize("head", MODELS)
def test_texts_longer_than_the_position_table(head: str) -> None:
    ids = torch.ones(1, 1, 25) if "Choice" in head else torch.ones(1, 25)
    both_numbers_and_the_ways_out = (
        "25 tokens, with 24 positions", "truncation=True, max_length=24", "stride=",
        "resize_position_embeddings(25)",
    )  # fmt: skip
    refused(lambda: MODELS[head](ids.long()), *both_numbers_and_the_ways_out)
    embeddings = torch.ones(*ids.shape, 32)
    refused(lambda: MODELS[head](inputs_embeds=embeddings), *both_numbers_and_the_ways_out)
    if "Choice" not in head:
        refused(lambda: MODELS[head](distilbert.pack([[1] * 25])), *both_numbers_and_the_ways_out)
        positions = torch.arange(24, 29).expand(2, 5)
        refused(lambda: MODELS[head](IDS, position_ids=positions), "29 tokens, with 24 positions")


MODEL, PAIRS = MODELS["Model"], torch.ones(2, 1, 5, 5, dtype=torch.bool)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"input_ids": IDS[0]}, ["whole numbers [B, S]", "int64 [5]", "return_tensors='pt'"]),
        ({"input_ids": IDS.float()}, ["whole numbers [B, S]", "float32 [2, 5]"]),
        ({"input_ids": IDS.bool()}, ["whole numbers [B, S]", "bool [2, 5]"]),
        ({"input_ids": IDS[None]}, ["whole numbers [B, S]", "int64 [1, 2, 5]"]),
        ({"input_ids": IDS.tolist()}, ["input_ids must be a tensor", "a list", "return_tensors='pt'"]),
        ({"input_ids": IDS.numpy()}, ["input_ids must be a tensor", "ndarray"]),
        ({"input_ids": distilbert.BatchEncoding({"input_ids": IDS})}, ["BatchEncoding", "model(**encoding)"]),
        ({"input_ids": IDS[:, :0]}, ["at least one token", "[2, 0]", "add_special_tokens"]),
        ({"inputs_embeds": torch.ones(2, 5, 7)}, ["[B, S, 32]", "float32 [2, 5, 7]", "get_input_embeddings"]),
        ({"inputs_embeds": torch.ones(5, 32)}, ["[B, S, 32]", "float32 [5, 32]"]),
        ({"inputs_embeds": torch.ones(2, 5, 32).long()}, ["[B, S, 32]", "int64 [2, 5, 32]"]),
        ({"inputs_embeds": torch.ones(2, 5, 32).double()}, ["type, float32", "float64", "to(model.dtype)"]),
        ({"input_ids": IDS, "head_mask": torch.ones(4).cfloat()}, ["head_mask holds real", "complex64"]),
        ({"attention_mask": BOTH[:, :4]}, ["shape of the batch", "[2, 4] for a batch [2, 5]", "1, 5, 5]"]),
        ({"attention_mask": BOTH[0]}, ["shape of the batch", "[5] for a batch [2, 5]"]),
        ({"attention_mask": BOTH[:, None]}, ["shape of the batch", "[2, 1, 5] for a batch [2, 5]"]),
        ({"attention_mask": BOTH.tolist()}, ["attention_mask must be a tensor", "a list"]),
        ({"attention_mask": BOTH * 2}, ["1 for live tokens and 0 for padding", "up to 2", "[2, 1, 5, 5]"]),
        ({"attention_mask": BOTH * -1e4}, ["1 for live tokens and 0 for padding", "up to 10000"]),
        ({"attention_mask": BOTH * float("nan")}, ["1 for live tokens and 0 for padding", "nan"]),
        ({"attention_mask": BOTH * 0.5}, ["1 for live tokens and 0 for padding", "up to 0.5"]),
        ({"attention_mask": PAIRS.long()}, ["booleans, or numbers to add", "int64 [2, 1, 5, 5]", "bool()"]),
        ({"attention_mask": PAIRS[..., :4]}, ["[B, 1 or N, S, S]", "[2, 1, 5, 4] for a batch [2, 5]"]),
        ({"attention_mask": PAIRS[:, :, :3]}, ["[B, 1 or N, S, S]", "[2, 1, 3, 5] for a batch [2, 5]"]),
        ({"attention_mask": PAIRS.expand(2, 3, 5, 5)}, ["[B, 1 or N, S, S]", "[2, 3, 5, 5]"]),
        ({"attention_mask": PAIRS[[0, 0, 0]]}, ["[B, 1 or N, S, S]", "[3, 1, 5, 5] for a batch [2, 5]"]),
        ({"head_mask": torch.ones(3)}, ["one number a head", "[3] for 2 layers of 4 heads", "[2, 4]"]),
        ({"head_mask": torch.ones(4, 2)}, ["one number a head", "[4, 2] for 2 layers of 4 heads"]),
        ({"position_ids": BOTH[:, :3]}, ["position_ids", "int64 [2, 3] for a batch [2, 5]"]),
        ({"position_ids": BOTH.float()}, ["position_ids", "float32 [2, 5]"]),
        ({"position_ids": BOTH - 2}, ["Positions count from 0", "the position -1"]),
        ({"token_type_ids": BOTH}, ["has no token types", "with 1", "return_token_type_ids=False"]),
        ({"token_type_ids": BOTH - 2}, ["has no token types", "with -1"]),
        ({"token_type_ids": BOTH[:, :3] * 0}, ["shape of the batch", "[2, 3] for a batch [2, 5]"]),
        ({"token_type_ids": BOTH * 0.0}, ["whole numbers", "float32 [2, 5]"]),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit(given: dict[str, Any], words: list[str]) -> None:
    usual = {} if "inputs_embeds" in given else {"input_ids": IDS}
    refused(lambda: MODEL(**{**usual, **given}), *words)


@pytest.mark.parametrize(
    ("head", "labels", "words"),
    [
        ("ForMaskedLM", BOTH[:, :4], ["shape of the batch", "[2, 4] for a batch [2, 5]", "-100"]),
        ("ForMaskedLM", BOTH[0], ["shape of the batch", "[5] for a batch [2, 5]"]),
        ("ForMaskedLM", BOTH.float(), ["labels must be whole numbers", "float32", "labels.long()"]),
        ("ForMaskedLM", BOTH.bool(), ["labels must be whole numbers", "bool"]),
        ("ForMaskedLM", BOTH * 60, ["0 to 59, or -100", "60", "tokenizer"]),
        ("ForMaskedLM", BOTH * -1, ["0 to 59, or -100", "-1"]),
        ("ForTokenClassification", BOTH[:, :4], ["shape of the batch", "[2, 4] for a batch [2, 5]"]),
        ("ForTokenClassification", BOTH * 2, ["0 to 1, or -100", "2", "num_labels"]),
        ("ForTokenClassification", BOTH.double(), ["whole numbers", "float64"]),
        ("ForSequenceClassification", torch.tensor([0, 2]), ["0 to 1, or -100", "2", "num_labels"]),
        ("ForSequenceClassification", torch.tensor([0, 1, 1]), ["shape [2]", "[3] for logits [2, 2]"]),
        ("ForSequenceClassification", torch.rand(2), ["multi_label", "[2, 2]", "[2]", "problem_type"]),
        (
            "ForSequenceClassification",
            torch.tensor([[0.0, 1], [3, 0]]),
            ["0 to 1", "3 in row 1", "regression"],
        ),
        ("ForSequenceClassification", torch.tensor([[0.0, 1], [torch.nan, 0]]), ["0 to 1", "nan in row 1"]),
        ("ForMultipleChoice", torch.tensor([2]), ["0 to 1, or -100", "2"]),
        ("ForMultipleChoice", torch.tensor([0, 1]), ["one label for each question", "[2] for logits [1, 2]"]),
        ("ForMultipleChoice", torch.rand(1), ["whole numbers", "float32"]),
    ],
)
def test_labels_that_do_not_fit(head: str, labels: torch.Tensor, words: list[str]) -> None:
    ids = IDS[None] if "Choice" in head else IDS
    for mask in (None, (ids != 0).long()):
        refused(partial(MODELS[head], ids, mask, labels=labels), *words)


@pytest.mark.parametrize(
    ("positions", "words"),
    [
        (torch.rand(2), ["start_positions must be whole numbers", "float32"]),
        (torch.tensor([1]), ["start_positions has one number for each row", "[1] for 2 rows", "[B]"]),
        (torch.ones(2, 5).long(), ["start_positions has one number for each row", "[2, 5] for 2 rows"]),
    ],
)
def test_limits_of_answers_that_do_not_fit(positions: torch.Tensor, words: list[str]) -> None:
    model, right = MODELS["ForQuestionAnswering"], torch.tensor([1, 2])
    refused(lambda: model(IDS, start_positions=positions, end_positions=right), *words)
    ends = [word.replace("start_", "end_") for word in words]
    refused(lambda: model(IDS, start_positions=right, end_positions=positions), *ends)


def test_a_choice_of_texts_without_questions() -> None:
    model = MODELS["ForMultipleChoice"]
    refused(lambda: model(IDS), "[B, choices, S]", "[2, 5]", "tensor[None]")
    refused(lambda: model(inputs_embeds=torch.ones(2, 5, 32)), "[B, choices, S]", "[2, 5, 32]")
    refused(lambda: model(IDS[None], BOTH[:1]), "shape of the batch", "[1, 5] for a batch [2, 5]")


@pytest.mark.parametrize("head", MODELS)
def test_an_unknown_keyword_is_an_error_that_names_it(head: str) -> None:
    for name in ("attention_masks", "label", "past_key_values"):
        call = partial(MODELS[head], IDS, **{name: BOTH})
        refused(call, f"unexpected keyword argument '{name}'", kind=TypeError)


def test_token_types_of_zeros_pass_with_one_warning(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "_has_warned", False)
    model = MODELS["ForTokenClassification"]
    with caplog.at_level(logging.WARNING), torch.no_grad():
        for mask in (None, BOTH, (IDS != 0).long()):
            usual, typed = model(IDS, mask), model(IDS, mask, token_type_ids=torch.zeros_like(IDS))
            assert torch.equal(usual.logits, typed.logits)
    assert len(caplog.records) == 1
    assert "no token types" in caplog.text
    assert "return_token_type_ids=False" in caplog.text


@pytest.mark.parametrize("implementation", ["flex_attention", "flash_attention_2"])
def test_kernels_without_weights_refuse_to_show_any(implementation: str) -> None:
    words = (f"{implementation} has no attention weights", "output_attentions=True", "sdpa")
    for head in ("Model", "ForSequenceClassification"):
        model = build(head, attn_implementation=implementation)
        refused(partial(model, IDS, output_attentions=True), *words, kind=ConfigError)
        model.config.output_attentions = True
        refused(partial(model, IDS), *words, kind=ConfigError)
    model = build(attn_implementation=implementation)
    refused(lambda: model(IDS, PAIRS), "one number a token", "[2, 1, 5, 5]", "set_attention('sdpa')")


def test_flex_in_training() -> None:
    dropping = build(attn_implementation="flex_attention", attention_dropout=0.1).train()
    refused(
        lambda: dropping(IDS), "drops no attention weights", "attention_dropout=0.1", "sdpa", kind=ConfigError
    )
    learning = build(attn_implementation="flex_attention", attention_dropout=0.0).train()
    refused(
        lambda: learning(IDS), "no backward on a CPU", "no_grad()", "set_attention('sdpa')", kind=ConfigError
    )
    with torch.no_grad():
        assert torch.isfinite(learning(IDS)[0]).all()


def test_an_unknown_implementation(tmp_path: Path) -> None:
    names = "eager, sdpa, flex_attention, flash_attention_2"
    MODEL.save_pretrained(tmp_path)
    for call in (
        lambda: build(attn_implementation="foo"),
        lambda: build().set_attention("foo"),
        lambda: distilbert.DistilBertModel.from_pretrained(tmp_path, attn_implementation="foo"),
    ):
        refused(call, names, "attn_implementation='foo'", kind=ConfigError)


def test_packed_batches_with_anything_beside_them() -> None:
    packed = distilbert.pack([[1, 2, 3], [4, 5]])
    for name, value in {"attention_mask": BOTH, "position_ids": BOTH, "token_type_ids": BOTH}.items():
        refused(partial(MODEL, packed, **{name: value}), "says all of its texts itself", "further inputs")
    refused(lambda: MODEL(packed, output_attentions=True), "no attention weights", "padded rows")
    for head in ("ForMaskedLM", "ForTokenClassification"):
        refused(partial(MODELS[head], packed, labels=BOTH), "[T], text after text", "[2, 5] for a batch [5]")


def test_what_is_no_tensor_or_no_number() -> None:
    model, choices = MODELS["Model"], MODELS["ForMultipleChoice"]
    refused(lambda: model(IDS, head_mask=[1, 1, 1, 1]), "head_mask must be a tensor", "a list")
    refused(lambda: MODELS["ForMaskedLM"](IDS, head_mask=[1]), "head_mask must be a tensor")
    refused(lambda: choices([[[1, 2], [3, 4]]]), "input_ids must be a tensor", "return_tensors='pt'")
    refused(lambda: choices({"input_ids": IDS}), "input_ids must be a tensor", "**encoding")
    refused(lambda: choices(inputs_embeds=[[[[1.0]]]]), "inputs_embeds must be a tensor")
    refused(lambda: model(IDS, BOTH.to(torch.complex64)), "1 for live tokens", "complex64")
    labels = IDS.to(torch.complex64)
    refused(lambda: MODELS["ForMaskedLM"](IDS, labels=labels), "labels must be whole numbers", "complex64")
    refused(lambda: distilbert.pack([[1, 2], [1.5]]), "whole numbers", "float64 in row 1")
    refused(lambda: distilbert.pack(["text", "more"]), "whole numbers", "in row 0", "tokenizer")
    refused(lambda: model.set_input_embeddings(None), "shape [60, 32]", "a NoneType", kind=ConfigError)
    refused(lambda: build(activation=torch.nn.GELU), "activation", "an object", kind=ConfigError)


@pytest.mark.parametrize("implementation", ["eager", "sdpa", "flex_attention"])
def test_a_batch_without_any_live_token(implementation: str) -> None:
    model = build(attn_implementation=implementation).eval()
    with torch.no_grad():
        assert not model(IDS, BOTH * 0)[0].any()


def test_flash_is_not_told_of_padding_where_nothing_is_live(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build()
    model.set_attention("flash_attention_2")
    refused(lambda: model(IDS, BOTH * 0), "float16 or bfloat16, on a CUDA GPU", kind=ConfigError)


def test_labels_are_real_numbers() -> None:
    for model in (MODELS["ForSequenceClassification"], build("ForSequenceClassification", num_labels=1)):
        labels = torch.ones(2, model.config.num_labels).cfloat()
        refused(lambda m=model, given=labels: m(IDS, labels=given), "real numbers", "complex64")


def test_questions_without_choices() -> None:
    model = MODELS["ForMultipleChoice"]
    refused(lambda: model(IDS[:0].reshape(2, 0, 5)), "at least one choice", "[2, 0, 5]")
    none = torch.zeros(0, 2, 5, dtype=torch.long)
    assert float(model(none, labels=torch.zeros(0, dtype=torch.long)).loss.detach()) == 0.0


def test_another_package_s_configuration() -> None:
    """Half of a program was changed."""
    import transformers

    peers = transformers.DistilBertConfig(**{k: getattr(CONFIG, k) for k in ("dim", "n_heads", "hidden_dim")})
    refused(
        lambda: distilbert.DistilBertModel(peers),
        "transformers.models",
        "from_dict(config.to_dict())",
        kind=ConfigError,
    )
    refused(lambda: distilbert.DistilBertModel(distilbert.BertConfig()), "a BertConfig", kind=ConfigError)
    refused(lambda: distilbert.DistilBertModel("folder"), "a str", "from_pretrained", kind=ConfigError)
