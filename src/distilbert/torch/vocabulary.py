"""The vocabulary-sized end of a masked language model, a few tokens at a time.

Logits over a vocabulary are by far the largest arrays of a distillation: of 4,096 tokens and 30,522 words
half a gigabyte in fp32, and a plain formulation holds several of them for each model. Here they exist for a
piece of the tokens at a time. The loss of a piece is differentiated at once, and all that stays of it is the
gradient of what the piece was made from (as in Hsu et al. 2024, "Liger Kernel").
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

#: Of the logits [c, V] of some tokens, float32 or wider, and of which tokens they are: the weighted sum of
#: their losses.
Score = Callable[[Tensor, slice], Tensor]


def tokens_at_once(device: torch.device) -> int:
    """Of a piece: enough for a matrix product to be fast, few enough for their logits to be small."""
    return 128 if device.type == "cpu" else 512


def through_vocabulary(
    projector: nn.Linear, x_TD: Tensor, score: Score, *, piece: int | None = None
) -> Tensor:
    """The sum of what ``score`` says of every piece's logits.

    Its gradient reaches ``x_TD`` and the projector. Under autocast the products are of its type, and sums
    are in float32.

    Args:
        projector: onto the vocabulary.
        x_TD: what it reads.
        score: is called once for each piece, in order; without any token not at all.
        piece: tokens of which logits exist at once, where not ``tokens_at_once``.
    """
    kind = x_TD.device.type
    lower = torch.is_autocast_enabled(kind)
    dtype = torch.get_autocast_dtype(kind) if lower else x_TD.dtype
    learns = torch.is_grad_enabled()
    piece = piece or tokens_at_once(x_TD.device)
    total: Tensor = _Through.apply(x_TD, projector.weight, projector.bias, score, piece, dtype, learns)  # type: ignore[no-untyped-call]
    return total


class _Through(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_TD: Tensor,
        weight_VD: Tensor,
        bias_V: Tensor,
        score: Score,
        piece: int,
        dtype: torch.dtype,
        learns: bool,
    ) -> Tensor:
        wide = torch.promote_types(dtype, torch.float32)
        weight, bias = weight_VD.to(dtype), bias_V.to(wide)
        total = torch.zeros((), dtype=wide, device=x_TD.device)
        wanted = [learns and needed for needed in ctx.needs_input_grad[:3]]
        dx_TD, dweight_VD, dbias_V = (
            torch.zeros_like(of, dtype=wide) if want else None
            for of, want in zip((x_TD, weight_VD, bias_V), wanted, strict=True)
        )
        for start in range(0, len(x_TD), piece):
            rows = slice(start, start + piece)
            x = x_TD[rows].to(dtype)
            logits = _product(x, weight.T, wide).add_(bias)
            if not any(wanted):
                total += score(logits, rows)
                continue
            with torch.enable_grad():
                loss = score(logits.requires_grad_(), rows)
            total += loss.detach()
            (dlogits,) = torch.autograd.grad(loss, logits)
            del logits, loss
            if dbias_V is not None:
                dbias_V += dlogits.sum(0)
            dlogits = dlogits.to(dtype)
            if dx_TD is not None:
                dx_TD[rows] = dlogits @ weight
            if dweight_VD is not None:
                _add_product(dweight_VD, dlogits.T, x)
        # Not kept by autograd: each is as large as a weight, is scaled where it lies, and is given away once.
        ctx.gradients = dx_TD, dweight_VD, dbias_V
        ctx.dtypes = x_TD.dtype, weight_VD.dtype, bias_V.dtype
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        found, ctx.gradients = ctx.gradients, None
        assert found is not None, "differentiated once"
        gradients = (
            None if gradient is None else gradient.mul_(upstream).to(dtype)
            for gradient, dtype in zip(found, ctx.dtypes, strict=True)
        )
        return (*gradients, None, None, None, None)


#: Rows of a sum that are added to at once on a CPU, where adding another type first makes a copy in its own.
_SUMMED = 4096


def _add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """Add a matrix product to a sum in a wider type."""
    step = _SUMMED if total.device.type == "cpu" else len(total)
    for start in range(0, len(total), step):
        rows = slice(start, start + step)
        total[rows] += a[rows] @ b


def _product(a: Tensor, b: Tensor, dtype: torch.dtype) -> Tensor:
    """A matrix product in a wider type than its factors; a GPU never rounds it to theirs on the way."""
    if a.is_cuda and a.dtype != dtype:
        return torch.mm(a, b, out_dtype=dtype)
    return (a @ b).to(dtype)
