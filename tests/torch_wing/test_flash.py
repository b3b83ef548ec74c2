"""What stands around the flash kernel: a plain one in its place tells whether it is asked rightly."""

import math
from typing import Any

import pytest
import torch
from models import CONFIGS, batch, scatter
from torch import Tensor

import distilbert
from distilbert import pack
from distilbert.errors import ConfigError, MissingExtraError
from distilbert.torch import varlen

HEADS = [
    "Model",
    "ForMaskedLM",
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForQuestionAnswering",
]


class PlainKernel:
    """Attention as the kernels define it: text ``i`` of the queries attends to text ``i`` of the keys."""

    def __init__(self) -> None:
        self.queries: list[int] = []

    def __call__(
        self, q: Tensor, k: Tensor, v: Tensor, starts_q: Tensor, starts_k: Tensor, most_q: int, most_k: int
    ) -> Tensor:
        for x, starts, most in ((q, starts_q, most_q), (k, starts_k, most_k)):
            lengths = starts.diff()
            assert starts.dtype == torch.int32
            assert (int(starts[0]), int(starts[-1])) == (0, len(x))
            assert (lengths > 0).all()
            assert type(most) is int
            assert int(lengths.max()) == most
            assert x.is_contiguous()
        assert len(starts_q) == len(starts_k)
        self.queries.append(len(q))
        context = torch.empty_like(q)
        for i in range(len(starts_q) - 1):
            here = slice(int(starts_q[i]), int(starts_q[i + 1]))
            there = slice(int(starts_k[i]), int(starts_k[i + 1]))
            scores = torch.einsum("qnh,knh->nqk", q[here], k[there]) / math.sqrt(q.shape[-1])
            context[here] = torch.einsum("nqk,knh->qnh", scores.softmax(-1), v[there])
        return context


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> PlainKernel:
    plain = PlainKernel()
    monkeypatch.setattr(varlen, "find_kernel", lambda: plain)
    monkeypatch.setattr(
        varlen.FlashAttention, "refuse_others_than_half_on_cuda", staticmethod(lambda q: None)
    )
    return plain


def build(head: str, **changes: Any) -> Any:
    rates = dict.fromkeys(("dropout", "attention_dropout", "seq_classif_dropout", "qa_dropout"), 0.0)
    config = distilbert.DistilBertConfig.from_dict(CONFIGS["usual"].to_dict(), **{**rates, **changes})
    return scatter(getattr(distilbert, f"DistilBert{head}")(config)).double()


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("side", ["right", "left"])
def test_ragged_rows_are_each_text_alone(head: str, side: str, kernel: PlainKernel) -> None:
    model = build(head)
    ids, mask = batch(model.config, rows=6, side=side)
    with torch.no_grad():
        eager = model(ids, mask)[0]
        model.set_attention("flash_attention_2")
        flash = model(ids, mask)[0]
        assert (flash - eager).abs().max() <= 1e-10
        tokens, texts = int(mask.sum()), int(mask.any(1).sum())
        # The last layer of a classifier asks for one query of each text.
        assert kernel.queries == [tokens, texts if "Sequence" in head else tokens]
        if head == "Model":
            for row, live, states in zip(ids, mask.bool(), flash, strict=True):
                if side == "right" and live.any():
                    assert (model(row[live][None])[0][0] - states[live]).abs().max() <= 1e-10


@pytest.mark.parametrize("head", ["Model", "ForSequenceClassification"])
def test_full_rows_and_packed_batches(head: str, kernel: PlainKernel) -> None:
    model = build(head)
    ids, _ = batch(model.config)
    texts = [[1, 2, 3], [4] * 7, [5], [6, 7, 8]]
    with torch.no_grad():
        wanted = [model(ids)[0], model(pack(texts))[0]]
        model.set_attention("flash_attention_2")
        for packing in (True, False):
            model.base_model.packing = packing
            found = [model(ids)[0], model(pack(texts))[0]]
            assert all((a - b).abs().max() <= 1e-10 for a, b in zip(wanted, found, strict=True))
    first = len(ids) if "Sequence" in head else ids.numel()
    assert kernel.queries[:2] == [ids.numel(), first]


def test_pruned_heads_and_gradients(kernel: PlainKernel) -> None:
    model = build("ForMaskedLM").train()
    model.prune_heads({0: [1]})
    ids, mask = batch(model.config)
    gradients = []
    for implementation in ("eager", "flash_attention_2"):
        model.set_attention(implementation)
        model.zero_grad()
        model(ids, mask, labels=ids).loss.backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    assert kernel.queries
    assert all((a - b).abs().max() <= 1e-10 for a, b in zip(*gradients, strict=True))


def test_what_no_kernel_takes(kernel: PlainKernel) -> None:
    model = build("Model", attn_implementation="flash_attention_2", attention_dropout=0.1)
    ids, mask = batch(model.config)
    with pytest.raises(ConfigError, match=r"drops no attention weights.*attention_dropout=0\.1.*sdpa"):
        model.train()(ids, mask)
    model.eval()
    model.packing = False
    with pytest.raises(ConfigError, match="an attention mask, in a call that removes no padding.*packing on"):
        model(ids, mask)
    assert not kernel.queries


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_cpu_or_full_precision_is_refused_in_a_sentence(dtype: torch.dtype) -> None:
    model = build("ForSequenceClassification", attn_implementation="flash_attention_2").to(dtype)
    name = str(dtype).removeprefix("torch.")
    message = rf"float16 or bfloat16, on a CUDA GPU.*Received: {name} on cpu.*dtype='bfloat16'.*sdpa"
    with pytest.raises(ConfigError, match=message) as refused:
        model(*batch(model.config))
    assert "\n" not in str(refused.value)


def test_a_kernel_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build("Model")
    for module in ("torch.nn.attention.varlen", "flash_attn"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(MissingExtraError, match=r"PyTorch 2\.10 or newer.*flash-attn.*pip install.*sdpa"):
        model.set_attention("flash_attention_2")
    with pytest.raises(MissingExtraError):
        build("Model", attn_implementation="flash_attention_2")
    assert model(*batch(model.config))[0].shape[0] == 4
