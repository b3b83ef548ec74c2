"""Padding goes out before the embeddings and comes back at the end: nothing else may change."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from models import CONFIGS, TEACHER, batch, scatter

import distilbert
from distilbert import PackedBatch, pack
from distilbert.errors import DataError
from distilbert.torch.layout import Packed, Padded

HEADS = ("MaskedLM", "SequenceClassification", "TokenClassification", "QuestionAnswering")


def build(name: str, kind: str = "DistilBert", **changes: Any) -> Any:
    config = CONFIGS["usual"] if kind == "DistilBert" else TEACHER
    config = type(config).from_dict(
        config.to_dict(),
        dropout=0.0,
        attention_dropout=0.0,
        seq_classif_dropout=0.0,
        qa_dropout=0.0,
        **changes,
    )
    return scatter(getattr(distilbert, f"{kind}For{name}" if name else f"{kind}Model")(config))


def labels_for(name: str, model: Any, input_ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    rows = len(input_ids)
    if name == "MaskedLM":
        return {
            "labels": torch.where(torch.rand(input_ids.shape, generator=generator) < 0.5, input_ids, -100)
        }
    if name == "TokenClassification":
        return {"labels": torch.randint(0, 2, input_ids.shape, generator=generator)}
    if name == "SequenceClassification":
        return {"labels": torch.randint(0, 2, (rows,), generator=generator)}
    lengths = mask.sum(1)
    first = mask.int().argmax(1)
    return {"start_positions": first, "end_positions": (first + lengths - 1).clamp(min=0)}


def step(model: Any, *inputs: Any, **labels: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    model.zero_grad()
    output = model(*inputs, **labels)
    output.loss.backward()
    return output, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("side", ["right", "left", "holes"])
@pytest.mark.parametrize("kind", ["DistilBert", "Bert"])
@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_a_training_step_is_the_same_without_padding(
    name: str, kind: str, side: str, implementation: str
) -> None:
    model = build(name, kind, attn_implementation=implementation).double().train()
    input_ids, mask = batch(model.config, rows=6, side="right" if side == "holes" else side)
    if side == "holes":
        mask = mask * (torch.arange(mask.shape[1]) % 3 != 1)
    labels = labels_for(name, model, input_ids, mask)
    packed, with_packing = step(model, input_ids, mask, **labels)
    model.set_attention(implementation, packing=False)
    padded, without = step(model, input_ids, mask, **labels)
    assert with_packing.keys() == without.keys()
    for mine, other in [
        *zip(packed.values(), padded.values(), strict=True),
        *((with_packing[key], without[key]) for key in without),
    ]:
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-10)


@pytest.mark.parametrize("implementation", ["eager", "sdpa", "flex_attention"])
def test_every_hidden_state_is_the_same_without_padding(implementation: str) -> None:
    model = build("", attn_implementation=implementation)
    for side in ("right", "left"):
        input_ids, mask = batch(model.config, rows=6, side=side)
        with torch.no_grad():
            model.set_attention(implementation, packing=True)
            packed = model(input_ids, mask, output_hidden_states=True)
            model.set_attention(implementation, packing=False)
            padded = model(input_ids, mask, output_hidden_states=True)
        for mine, other in zip(packed.hidden_states, padded.hidden_states, strict=True):
            torch.testing.assert_close(mine, other, rtol=0, atol=1e-5)
            assert not mine[mask == 0].any()


def layouts(model: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The layouts that a model's blocks are given from now on, and how many states each computes."""
    seen: list[Any] = []
    for block in model.encoder.transformer.layer:
        block.register_forward_hook(
            lambda module, args, out: seen.append((type(args[1]), tuple(out[0].shape)))
        )
    return seen


def test_no_state_of_padding_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build("TokenClassification")
    input_ids, mask = batch(model.config, rows=6)
    seen = layouts(model, monkeypatch)
    model(input_ids, mask)
    tokens, width = int(mask.sum()), model.config.dim
    assert seen == [(Packed, (tokens, width))] * model.config.n_layers
    seen.clear()
    model(input_ids, torch.ones_like(mask))
    assert seen == [(Padded, (*input_ids.shape, width))] * model.config.n_layers


@pytest.mark.parametrize("full", [False, True])
def test_a_classifiers_last_block_computes_the_states_it_reads(
    full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build("SequenceClassification")
    input_ids, mask = batch(model.config, rows=6)
    mask = torch.ones_like(mask) if full else mask
    seen = layouts(model, monkeypatch)
    with torch.no_grad():
        short = model(input_ids, mask)
    assert seen[-1][1] == (int((mask.sum(1) > 0).sum()), model.config.dim)
    with torch.no_grad():
        whole = model(input_ids, mask, output_hidden_states=True)
        eager = model(input_ids, mask, output_attentions=True)
    torch.testing.assert_close(short.logits, whole.logits, rtol=0, atol=1e-5)
    torch.testing.assert_close(short.logits, eager.logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("length", [None, 15])
def test_packed_batches_give_what_rows_give(length: int | None) -> None:
    config = CONFIGS["usual"]
    rng = np.random.default_rng(3)
    texts = [rng.integers(1, config.vocab_size, n).tolist() for n in (5, 12, 1, 5, 9)]
    packed = pack(texts, length=length)
    with torch.no_grad():
        base = build("").double()
        states = base(packed).last_hidden_state
        alone = [base(torch.tensor([text])).last_hidden_state[0] for text in texts]
        torch.testing.assert_close(states, torch.cat(alone), rtol=0, atol=1e-10)
        classifier = build("SequenceClassification").double()
        together = classifier(packed, labels=torch.tensor([0, 1, 1, 0, 1]))
        one_by_one = torch.cat([classifier(torch.tensor([text])).logits for text in texts])
        torch.testing.assert_close(together.logits, one_by_one, rtol=0, atol=1e-10)
        spans = build("QuestionAnswering").double()
        starts = torch.tensor([2, 11, 0, 9, 4])  # the fourth is past its text, and not counted
        found = spans(packed, start_positions=starts, end_positions=starts)
        losses = [
            spans(torch.tensor([text]), start_positions=at[None], end_positions=at[None]).loss
            for text, at in zip(texts, starts, strict=True)
            if at < len(text)
        ]
        torch.testing.assert_close(found.loss, torch.stack(losses).mean(), rtol=0, atol=1e-10)
        choices = build("MultipleChoice").double()
        scores = choices(pack(texts[:4]), labels=torch.tensor([1, 0]))
        each = torch.cat([choices(torch.tensor([[text]])).logits[0] for text in texts[:4]])
        torch.testing.assert_close(scores.logits, each, rtol=0, atol=1e-10)
        told = torch.nn.functional.cross_entropy(each.view(2, 2), torch.tensor([1, 0]))
        torch.testing.assert_close(scores.loss, told, rtol=0, atol=1e-10)


def test_packed_labels_lie_as_the_tokens_do() -> None:
    model = build("MaskedLM").double()
    input_ids, mask = batch(model.config, rows=5)
    keep = mask.sum(1) > 0
    input_ids, mask = input_ids[keep], mask[keep]
    labels = labels_for("MaskedLM", model, input_ids, mask)["labels"]
    texts = [row[: int(live.sum())].tolist() for row, live in zip(input_ids, mask, strict=True)]
    with torch.no_grad():
        rows = model(input_ids, mask, labels=labels)
        packed = model(pack(texts), labels=labels[mask.bool()])
    torch.testing.assert_close(packed.loss, rows.loss, rtol=0, atol=1e-10)
    torch.testing.assert_close(packed.logits, rows.logits[mask.bool()], rtol=0, atol=1e-10)
    with pytest.raises(DataError, match="text after text"):
        model(pack(texts), labels=labels)


def test_pack_lays_each_text_once_and_whole() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        texts = [rng.integers(1, 90, n).tolist() for n in rng.integers(1, 20, rng.integers(1, 12))]
        length = int(rng.integers(max(map(len, texts)), 40))
        packed = pack(texts, length=length)
        assert packed.input_ids.shape[1] == length
        assert packed.lengths == [len(text) for text in texts]
        flat = packed.input_ids.ravel()[packed.order].tolist()
        assert flat == [token for text in texts for token in text]
        positions = packed.position_ids.ravel()[packed.order].tolist()
        assert positions == [i for text in texts for i in range(len(text))]
        for row in packed.segment_ids:  # no text is cut in two
            changes = [a for a, b in zip(row, [*row[1:], -1], strict=True) if a != b and a]
            assert len(changes) == len(set(changes))


@pytest.mark.parametrize(
    "call",
    [
        lambda: pack([]),
        lambda: pack([[1], []]),
        lambda: pack([[1, 2, 3]], length=2),
        lambda: PackedBatch(*[np.ones((2, 3), int)] * 2, np.ones((2, 2), int)),
        lambda: PackedBatch(*[np.ones((1, 2), int)] * 2, np.array([[1, 3]])),
        lambda: build("")(pack([[1, 2]]), output_attentions=True),
        lambda: build("")(pack([[1, 2]]), torch.ones(1, 2)),
        lambda: build("")(pack([[1, 99999]])),
        lambda: build("")(pack([[1] * 25])),
    ],
)
def test_packed_batches_that_cannot_be(call: Callable[[], object]) -> None:
    with pytest.raises(DataError, match="Received"):
        call()


@pytest.mark.parametrize("first_only", [False, True])
def test_flex_over_all_texts_at_once_is_flex_over_each(first_only: bool) -> None:
    """What a GPU runs; on a CPU it would score every token against every other."""
    from distilbert.torch.flex import FlexAttention

    model = build("", attn_implementation="flex_attention")
    attention = model.transformer.layer[0].attention
    assert type(attention) is FlexAttention
    layout = Packed.of_texts([3, 7, 3, 1], torch.device("cpu"))
    x = torch.randn(14, 4, 8)
    q = layout.first(x) if first_only else x
    with torch.no_grad():
        ours = attention.attend_documents(q, x, x, layout, first_only=first_only)
        each = attention.attend_packed(q, x, x, layout, first_only=first_only)
    torch.testing.assert_close(ours, each, rtol=0, atol=1e-5)


def test_random_batches_in_any_order_and_company() -> None:
    model = build("SequenceClassification")
    with torch.no_grad():
        for seed in range(10):
            input_ids, mask = batch(model.config, rows=7, seed=seed, side="left" if seed % 2 else "right")
            logits = model(input_ids, mask).logits
            order = torch.randperm(7, generator=torch.Generator().manual_seed(seed))
            torch.testing.assert_close(
                model(input_ids[order], mask[order]).logits, logits[order], rtol=0, atol=1e-5
            )
            half = model(input_ids[:3], mask[:3]).logits
            torch.testing.assert_close(half, logits[:3], rtol=0, atol=1e-5)


def test_an_exported_classifier_takes_other_numbers_of_rows_and_tokens() -> None:
    """Finding each row's first live token must not fix how many rows there are."""
    model = build("SequenceClassification")
    input_ids, mask = batch(model.config, side="left")
    sizes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    graph = torch.export.export(
        model, (input_ids, mask), dynamic_shapes={"input_ids": sizes, "attention_mask": sizes}
    ).module()
    fewer = input_ids[:3, 4:], mask[:3, 4:]
    with torch.no_grad():
        torch.testing.assert_close(graph(*fewer).logits, model(*fewer).logits, rtol=0, atol=1e-6)


@pytest.mark.parametrize("layout", ["rows", "packed"])
@pytest.mark.parametrize(("least", "most"), [(1, 3), (10**6, 10**6)], ids=["few at a time", "all at once"])
def test_logits_are_the_same_however_many_are_computed_at_once(
    least: int, most: int, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distilbert.torch.layout._LEAST", least)
    monkeypatch.setattr("distilbert.torch.layout._MOST", most)
    model = build("MaskedLM").double()
    input_ids, mask = batch(model.config, rows=6)
    live = mask.bool()
    with_gradients = model(input_ids, mask).logits.detach()
    with torch.no_grad():
        if layout == "rows":
            logits = model(input_ids, mask).logits
            assert not logits[~live].any()
        else:
            rows = [ids[here].tolist() for ids, here in zip(input_ids, live, strict=True) if here.any()]
            logits, with_gradients = model(pack(rows)).logits, with_gradients[live]
    torch.testing.assert_close(logits, with_gradients, rtol=0, atol=1e-10)
