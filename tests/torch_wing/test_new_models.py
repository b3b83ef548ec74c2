"""A model as it is built: its initial numbers, their count, what it says of itself, its activations."""

from pathlib import Path
from typing import Any

import pytest
import torch
from models import CONFIGS, batch, scatter
from peer import ATOL, largest_difference, peer_of, transformers
from torch import Tensor, nn
from torch.nn import functional as F

import distilbert
from distilbert.core.parameters import Role
from distilbert.errors import ConfigError

HEADS = ["Model", "ForMaskedLM", "ForSequenceClassification", "ForMultipleChoice", "ForTokenClassification",
         "ForQuestionAnswering"]  # fmt: skip

#: Large enough that statistics of its tables are sharp; a padding id that is not the first.
WIDE = {
    "vocab_size": 1500, "max_position_embeddings": 400, "n_layers": 1, "n_heads": 4, "dim": 128,
    "hidden_dim": 400, "initializer_range": 0.05, "pad_token_id": 7,
}  # fmt: skip

#: Of N(0, 1), beyond two standard deviations; a normal cut off there, as the paper's BERT draws, has none.
BEYOND = 0.0455


def build(head: str = "Model", **changes: Any) -> Any:
    config = distilbert.DistilBertConfig.from_dict(CONFIGS["usual"].to_dict(), **changes)
    return scatter(getattr(distilbert, f"DistilBert{head}")(config))


def statistics(tensor: Tensor) -> tuple[float, float, float]:
    """Mean, standard deviation, and the share beyond two of N(0, ``initializer_range``)."""
    sigma = WIDE["initializer_range"]
    return tensor.mean().item(), tensor.std().item(), (tensor.abs() > 2 * sigma).float().mean().item()


@pytest.mark.parametrize("head", HEADS)
def test_initial_numbers_are_a_plain_normals_zeros_and_ones(head: str) -> None:
    torch.manual_seed(0)
    model = getattr(distilbert, f"DistilBert{head}")(distilbert.DistilBertConfig(**WIDE, num_labels=2))
    peer = getattr(transformers, f"DistilBert{head}")(transformers.DistilBertConfig(**WIDE, num_labels=2))
    mine, peers = dict(model.named_parameters()), dict(peer.named_parameters())
    assert mine.keys() == peers.keys()
    for parameter in model.manifest:
        if parameter.tied_to:
            assert parameter.key not in mine
            continue
        for tensor in (mine[parameter.key].detach(), peers[parameter.key].detach()):
            if parameter.role in (Role.KERNEL, Role.EMBEDDING):
                mean, deviation, beyond = statistics(tensor)
                noise = tensor.numel() ** -0.5
                assert abs(mean) <= 5 * 0.05 * noise, parameter.key
                assert deviation == pytest.approx(0.05, rel=4 * noise + 0.002), parameter.key
                assert beyond == pytest.approx(BEYOND, abs=noise + 0.002), parameter.key
            else:
                wanted = 1.0 if parameter.role is Role.NORM_SCALE else 0.0
                assert (tensor == wanted).all(), parameter.key
    words = model.get_input_embeddings().weight
    assert not words[7].any()
    assert (words.abs().sum(1) > 0).sum() == len(words) - 1


def test_a_truncated_normal_would_be_noticed() -> None:
    drawn = nn.init.trunc_normal_(torch.empty(100_000), std=0.05, a=-0.1, b=0.1)
    _, deviation, beyond = statistics(drawn)
    assert beyond == 0
    assert abs(deviation - 0.05) > 0.004


def test_a_sinusoidal_table_is_the_peers_and_fixed() -> None:
    model = distilbert.DistilBertModel(CONFIGS["sinusoidal"])
    peer = transformers.DistilBertModel(transformers.DistilBertConfig(**CONFIGS["sinusoidal"].to_dict()))
    table = model.get_position_embeddings().weight
    assert largest_difference(table, peer.get_position_embeddings().weight) <= 1e-6
    assert table.requires_grad is peer.get_position_embeddings().weight.requires_grad is False
    frozen = model.num_parameters() - model.num_parameters(only_trainable=True)
    assert frozen == table.numel()


@pytest.mark.parametrize(("head", "count"), [("Model", 66_362_880), ("ForMaskedLM", 66_985_530)])
def test_the_published_models_have_the_published_number_of_parameters(head: str, count: int) -> None:
    with torch.device("meta"):
        model = getattr(distilbert, f"DistilBert{head}")(distilbert.DistilBertConfig())
    assert model.num_parameters() == count
    tables = (30522 + 512) * 768
    assert model.num_parameters(exclude_embeddings=True) == count - tables
    model.base_model.requires_grad_(False)
    assert model.num_parameters(only_trainable=True) == (count - 66_362_880 if head != "Model" else 0)


def test_a_model_says_what_it_is() -> None:
    with torch.device("meta"):
        model = distilbert.DistilBertForMaskedLM(distilbert.DistilBertConfig())
    first = "\n".join(repr(model).splitlines()[:2])
    assert first.startswith("DistilBertForMaskedLM(")
    said = "6 layers of 12 heads, width 768, 66,985,530 parameters in float32 on meta, sdpa"
    assert said in first
    small = build("ForMaskedLM").half()
    small.set_attention("eager")
    assert "2 layers of 4 heads, width 32" in repr(small)
    assert "in float16 on cpu, eager" in repr(small)


@pytest.mark.parametrize("head", ["ForMaskedLM", "ForTokenClassification"])
def test_a_callable_is_an_activation(head: str, tmp_path: Path) -> None:
    """The peer's page promises it, and its code looks names up only."""
    by_name, by_call, own = (build(head, activation=a) for a in ("relu", F.relu, torch.sin))
    given = batch(own.config)
    with torch.no_grad():
        assert torch.equal(by_call(*given).logits, by_name(*given).logits)
        assert largest_difference(own(*given).logits, by_name(*given).logits) > 1e-2
    with pytest.raises(ConfigError, match="activation"):
        own.save_pretrained(tmp_path / "own")
    assert not (tmp_path / "own" / "config.json").exists()
    with pytest.raises(KeyError):
        transformers.DistilBertModel(transformers.DistilBertConfig(dim=12, n_heads=1, activation=F.relu))


@pytest.mark.parametrize("chunk", [1, 3, 4, 5, 100])
@pytest.mark.parametrize("packing", [True, False])
def test_a_feed_forward_in_pieces_gives_the_same(chunk: int, packing: bool) -> None:
    whole, pieces = build(), build(chunk_size_feed_forward=chunk)
    whole.packing = pieces.packing = packing
    sizes: list[int] = []
    pieces.transformer.layer[0].ffn.lin1.register_forward_hook(
        lambda _, given, __: sizes.append(given[0].shape[-2])
    )
    ids, mask = batch(whole.config)
    with torch.no_grad():
        ours, theirs = whole(ids, mask)[0], pieces(ids, mask)[0]
        assert largest_difference(ours, theirs) <= ATOL
        assert max(sizes) == min(chunk, int(mask.sum()) if packing else ids.shape[1])
        if ids.shape[1] % chunk == 0:  # the peer refuses others
            assert largest_difference(peer_of(pieces)(ids, mask)[0], theirs, mask) <= ATOL
        short, usual = (build("ForSequenceClassification", chunk_size_feed_forward=n) for n in (chunk, 0))
        assert largest_difference(short(ids, mask).logits, usual(ids, mask).logits) <= ATOL


def test_an_answer_has_two_limits(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="num_labels must be 2. Received: num_labels=3"):
        build("ForQuestionAnswering", num_labels=3)
    build("ForSequenceClassification", num_labels=3).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="num_labels must be 2"):
        distilbert.DistilBertForQuestionAnswering.from_pretrained(tmp_path)


def test_a_sinusoidal_table_that_was_read_is_fixed_as_the_peers(tmp_path: Path) -> None:
    transformers.DistilBertModel(
        transformers.DistilBertConfig(**CONFIGS["sinusoidal"].to_dict())
    ).save_pretrained(tmp_path)
    ours, theirs = (
        library.DistilBertModel.from_pretrained(tmp_path) for library in (distilbert, transformers)
    )
    for model in (ours, theirs):
        assert not model.embeddings.position_embeddings.weight.requires_grad
        assert model.embeddings.word_embeddings.weight.requires_grad
    assert ours.num_parameters(only_trainable=True) == theirs.num_parameters(only_trainable=True)
