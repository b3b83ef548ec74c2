"""What is computed again for the gradient is not kept, and changes nothing."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from distilbert import DistilBertConfig, DistilBertModel
from distilbert.torch.anew import applied_anew

SIZES = {"dim": 16, "n_heads": 2, "hidden_dim": 48, "n_layers": 2, "vocab_size": 30}


def kept(output: torch.Tensor) -> set[int]:
    """Where the arrays lie that the products behind an output keep of what they read."""
    found, nodes = set(), [output.grad_fn]
    while nodes:
        node = nodes.pop()
        for name in ("_saved_mat1", "_saved_self"):
            if isinstance(array := getattr(node, name, None), torch.Tensor):
                found.add(array.data_ptr())
        nodes += [one for one, _ in node.next_functions if one is not None]
    return found


@pytest.mark.parametrize("shape", [(5, 8), (2, 5, 8)])
def test_the_array_between_is_not_kept(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    then, x, made = nn.Linear(8, 3), torch.randn(shape, requires_grad=True), []

    def first(y: torch.Tensor) -> torch.Tensor:
        made.append(F.gelu(y))
        return made[-1]

    plain = then(first(x))
    assert made[0].data_ptr() in kept(plain), "the plain way keeps it"
    output = applied_anew(first, then, x)
    assert torch.equal(output, plain)
    assert len(made) == 2
    assert made[1].data_ptr() not in kept(output), "looking at what is kept computes it anew"
    assert len(made) == 3


def test_gradients_are_the_same_and_differentiable_again() -> None:
    torch.manual_seed(0)
    then, x = nn.Linear(8, 3), torch.randn(4, 8, requires_grad=True)
    found = []
    for output in (then(F.gelu(x)), applied_anew(F.gelu, then, x)):
        inputs = (x, *then.parameters())
        first = torch.autograd.grad(output.square().sum(), inputs, create_graph=True)
        second = torch.autograd.grad(first[0].square().sum(), inputs[:2])
        found.append((*first, *second))
    assert all(map(torch.equal, *found))
    wrong = torch.autograd.grad(applied_anew(torch.tanh, then, x).square().sum(), x)
    assert not torch.equal(wrong[0], found[0][0])


@pytest.mark.parametrize("bf16", [False, True])
def test_a_model_learns_the_same_with_it_and_without(bf16: bool) -> None:
    torch.manual_seed(0)
    model = DistilBertModel(DistilBertConfig(**SIZES)).train()
    ids = torch.randint(0, 30, (3, 7))
    calls: list[int] = []

    def counted(y: torch.Tensor) -> torch.Tensor:
        calls.append(len(y))
        return F.gelu(y)

    def gradients(anew: bool) -> tuple[list[Any], int]:
        calls.clear()
        model.zero_grad()
        for block in model.transformer.layer:
            block.ffn.anew, block.ffn.activation = anew, counted
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            states = model(ids).last_hidden_state
        states.float().square().sum().backward()
        return [parameter.grad.clone() for parameter in model.parameters()], len(calls)

    (own, twice), (plain, once) = gradients(True), gradients(False)
    assert (twice, once) == (2 * SIZES["n_layers"], SIZES["n_layers"])
    assert all(map(torch.equal, own, plain))
    with torch.no_grad():
        model(ids)
    assert len(calls) == once + SIZES["n_layers"], "without gradients there is nothing to compute again"


def test_whole_blocks_that_are_computed_again_keep_nothing_more() -> None:
    model = DistilBertModel(DistilBertConfig(**SIZES))
    model.gradient_checkpointing_enable()
    assert not any(block.ffn.anew for block in model.transformer.layer)
    model.gradient_checkpointing_disable()
    assert all(block.ffn.anew for block in model.transformer.layer)
