"""Weights as a state: under which names, in which type, where, and how often they stand in memory."""

import copy
import io
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import CLASSES, answers, ragged, tiny, tiny_config

import distilbert
from distilbert import DistilBertConfig, DistilBertModel
from distilbert.errors import ConfigError

TIED, TABLE = "vocab_projector.weight", "distilbert.embeddings.word_embeddings.weight"


def outputs(model: Any, name: str = "DistilBertForMaskedLM") -> list[torch.Tensor]:
    with torch.no_grad():
        return list(model(*ragged(name, 3, 7)).values())


def same(one: Any, other: Any, name: str = "DistilBertForMaskedLM") -> bool:
    pairs = zip(outputs(one, name), outputs(other, name), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def is_tied(model: Any) -> bool:
    return model.vocab_projector.weight is model.distilbert.embeddings.word_embeddings.weight


def on_meta(name: str, **changes: Any) -> Any:
    with torch.device("meta"):
        return getattr(distilbert, name)(tiny_config(**changes)).eval()


@pytest.mark.parametrize("name", CLASSES)
def test_copies_of_a_model_are_the_model(name: str) -> None:
    model = tiny(name)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    reloaded = getattr(distilbert, name)(model.config).eval()
    assert not same(model, reloaded, name)
    assert (
        str(reloaded.load_state_dict(torch.load(file, weights_only=True)))
        == "<All keys matched successfully>"
    )
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), reloaded):
        assert type(other) is type(model)
        assert same(model, other, name)
        with torch.no_grad():  # and shares nothing with it
            next(other.parameters()).add_(1)
        assert not same(model, other, name)


def test_copies_keep_what_was_changed_of_a_model() -> None:
    model = tiny("DistilBertForMaskedLM")
    model.set_attention("eager", packing=False)
    model.prune_heads({0: [1]})
    model.resize_token_embeddings(70)
    model.gradient_checkpointing_enable()
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert same(model, other)
        assert is_tied(other)
        assert other.config == model.config
        assert other.config is other.distilbert.config  # one configuration, as before
        assert other.is_gradient_checkpointing
        assert not other.encoder.packing
        other.train()(*ragged("", 3, 7)).logits.sum().backward()


def test_a_tied_table_stands_once_in_a_state(tmp_path: Path) -> None:
    model = tiny("DistilBertForMaskedLM")
    state = model.state_dict()
    assert TIED not in state
    assert TABLE in state
    assert TIED in tiny("DistilBertForMaskedLM", tie_word_embeddings=False).state_dict()
    save_file(state, tmp_path / "model.safetensors")  # refuses one array under two names
    fresh = distilbert.DistilBertForMaskedLM(model.config).eval()
    fresh.load_state_dict(load_file(tmp_path / "model.safetensors"), strict=True)
    assert same(model, fresh)
    inside = torch.nn.ModuleDict({"a": model, "b": fresh})
    assert f"a.{TIED}" not in inside.state_dict()
    inside.load_state_dict(inside.state_dict(), strict=True)


@pytest.mark.parametrize("assign", [False, True])
@pytest.mark.parametrize("spelled", ["without", "with", "only"])
def test_a_state_is_taken_with_and_without_the_tied_table(spelled: str, assign: bool) -> None:
    model = tiny("DistilBertForMaskedLM")
    state = dict(model.state_dict())
    if spelled != "without":
        state[TIED] = state[TABLE]
    fresh = distilbert.DistilBertForMaskedLM(model.config).eval()
    if (
        spelled == "only"
    ):  # the peer's own states name both; one that names the projection alone lacks a table
        del state[TABLE]
        with pytest.raises(RuntimeError, match="word_embeddings"):
            fresh.load_state_dict(state, strict=True)
        return
    before = dict(state)
    fresh.load_state_dict(state, strict=True, assign=assign)
    assert state == before  # what is given stays as it is
    assert same(model, fresh)
    assert is_tied(fresh)
    fresh.vocab_projector.weight.data.add_(1)
    assert torch.equal(fresh.get_input_embeddings().weight, fresh.vocab_projector.weight)


def test_a_missing_or_further_name_is_refused() -> None:
    model = tiny("DistilBertForMaskedLM")
    state = dict(model.state_dict(), stranger=torch.zeros(1))
    del state["vocab_transform.bias"]
    with pytest.raises(RuntimeError, match=r"vocab_transform\.bias(.|\n)*stranger"):
        model.load_state_dict(state)
    missing, further = model.load_state_dict(state, strict=False)
    assert missing == ["vocab_transform.bias"]
    assert further == ["stranger"]


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("sinusoidal", [False, True])
def test_on_meta_then_in_memory_once(name: str, sinusoidal: bool) -> None:
    model = tiny(name, sinusoidal_pos_embds=sinusoidal)
    state = model.state_dict()
    empty = on_meta(name, sinusoidal_pos_embds=sinusoidal)
    assert {p.device.type for p in empty.parameters()} == {"meta"}
    assert [v.shape for v in empty(*[x.to("meta") for x in ragged(name, 3, 7)]).values()] == [
        v.shape for v in outputs(model, name)
    ]
    empty.load_state_dict(state, assign=True)
    held = {p.data_ptr() for p in empty.parameters()}
    assert held == {tensor.data_ptr() for tensor in state.values()}  # these, and no copies of them
    assert not any(tensor.is_meta for tensor in (*empty.buffers(), *empty.parameters()))
    assert same(model, empty, name)
    filled = on_meta(name, sinusoidal_pos_embds=sinusoidal).to_empty(device="cpu")
    filled.load_state_dict(state)
    assert same(model, filled, name)
    if name.endswith("MaskedLM"):
        assert is_tied(empty)
        assert is_tied(filled)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("name", CLASSES)
def test_every_floating_type(name: str, dtype: torch.dtype) -> None:
    model = tiny(name)
    wanted = outputs(copy.deepcopy(model).double(), name)
    model = model.to(dtype)
    assert model.dtype is dtype
    # Half precision keeps 8 or 11 bits, over two blocks and sums of 64 products of numbers around 1.
    most = {torch.bfloat16: 0.12, torch.float16: 0.02, torch.float64: 1e-9}[dtype]
    for value, exact in zip(outputs(model, name), wanted, strict=True):
        assert value.dtype is dtype
        lowest = torch.finfo(dtype).min
        live = value > lowest  # of an answer's limits padding has the lowest number that the type has
        assert torch.isfinite(value).all()
        assert (value[live].double() - exact[live]).abs().max() <= most
    input_ids, mask = ragged(name, 3, 7)
    output = model.train()(input_ids, mask, **answers(name, input_ids))
    (output.loss if "loss" in output else output.last_hidden_state.float().square().mean()).backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("name", CLASSES)
def test_under_autocast(name: str, implementation: str) -> None:
    model = tiny(name, attn_implementation=implementation)
    input_ids, mask = ragged(name, 3, 7)
    labels = answers(name, input_ids)
    wanted = model(input_ids, mask, **labels)
    for packing in (True, False):
        model.zero_grad()
        model.set_attention(implementation, packing=packing)
        with torch.autocast("cpu", torch.bfloat16):
            output = model(input_ids, mask, **labels)
        if labels:
            assert output.loss.dtype is torch.float32
            # The mean of a few bfloat16 logits' losses.
            assert abs(float(output.loss.detach() - wanted.loss.detach())) <= 0.1
        else:
            assert output[0].dtype in (torch.bfloat16, torch.float32)
        (output.loss if labels else output[0].float().square().mean()).backward()
        assert {p.grad.dtype for p in model.parameters() if p.grad is not None} == {torch.float32}
        assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_moving_and_casting_keeps_the_tie() -> None:
    model = tiny("DistilBertForMaskedLM")
    for step in (lambda: model.to(torch.bfloat16), model.double, lambda: model.to("meta")):
        step()
        assert is_tied(model)
        assert len(list(model.parameters())) == len(model.state_dict())


def test_a_new_model_on_meta_can_be_drawn_in_memory() -> None:
    usual = distilbert.DistilBertForMaskedLM(tiny_config()).eval()
    late = on_meta("DistilBertForMaskedLM").to_empty(device="cpu")
    for model in (usual, late):
        torch.manual_seed(0)
        model.distilbert.initialise()
        model.initialise()
    assert same(usual, late)


def test_layers_of_a_subclass_are_not_lost_without_a_word(tmp_path: Path) -> None:
    class Longer(DistilBertModel):
        def __init__(self, config: DistilBertConfig) -> None:
            super().__init__(config)
            self.further = torch.nn.Linear(config.dim, 2)

    model = Longer(tiny_config())
    with pytest.raises(ConfigError, match=r"further\.weight, further\.bias"):
        model.save_pretrained(tmp_path)
    assert not any(tmp_path.iterdir())
    DistilBertModel(tiny_config()).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="module that holds this model"):
        Longer.from_pretrained(tmp_path)
