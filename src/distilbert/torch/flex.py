"""FlexAttention: PyTorch's attention with a mask as a function, compiled on a GPU."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from distilbert.errors import ConfigError
from distilbert.torch.attention import SelfAttention
from distilbert.torch.layout import Packed

MaskMod = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


class FlexAttention(SelfAttention):
    """One kernel over all texts, told which token may attend to which.

    On a CPU it has no backward; texts end to end are then attended to one length after the other, for the
    plain form there would score every token against every other.

    Raises:
        ConfigError: when called in training, with dropout or on a CPU.
    """

    implementation = "flex_attention"

    def attend(
        self, q_BNSH: Tensor, k_BNSH: Tensor, v_BNSH: Tensor, columns: Tensor | None
    ) -> tuple[Tensor, None]:
        mask = None
        if columns is not None:

            def may_attend(b: Tensor, h: Tensor, q: Tensor, kv: Tensor) -> Tensor:
                return columns[b, 0, 0, kv]

            mask = self._mask(may_attend, q_BNSH, k_BNSH)
        return self._run(q_BNSH, k_BNSH, v_BNSH, mask), None

    def attend_packed(
        self, q_TNH: Tensor, k_TNH: Tensor, v_TNH: Tensor, layout: Packed, *, first_only: bool
    ) -> Tensor:
        if q_TNH.device.type == "cpu":
            return super().attend_packed(q_TNH, k_TNH, v_TNH, layout, first_only=first_only)
        return self.attend_documents(q_TNH, k_TNH, v_TNH, layout, first_only=first_only)

    def attend_documents(
        self, q_TNH: Tensor, k_TNH: Tensor, v_TNH: Tensor, layout: Packed, *, first_only: bool
    ) -> Tensor:
        """``attend_packed`` in one call over all texts."""
        keys_T = layout.owners_T
        queries_T = torch.arange(len(q_TNH), device=keys_T.device) if first_only else keys_T

        def same_text(b: Tensor, h: Tensor, q: Tensor, kv: Tensor) -> Tensor:
            return queries_T[q] == keys_T[kv]

        q, k, v = (x.transpose(0, 1)[None] for x in (q_TNH, k_TNH, v_TNH))
        return self._run(q, k, v, self._mask(same_text, q, k))[0].transpose(0, 1)

    def _mask(self, may_attend: MaskMod, q_BNSH: Tensor, k_BNSH: Tensor) -> Any:
        queries, keys = q_BNSH.shape[2], k_BNSH.shape[2]
        return create_block_mask(may_attend, q_BNSH.shape[0], None, queries, keys, device=str(q_BNSH.device))

    def _run(self, q: Tensor, k: Tensor, v: Tensor, mask: Any) -> Tensor:
        self.refuse_dropout()
        if q.device.type == "cpu" and torch.is_grad_enabled() and q.requires_grad:
            raise ConfigError(
                "flex_attention has no backward on a CPU.",
                received="a call that wants gradients",
                remedy="Wrap it in torch.no_grad(), or train with sdpa: model.set_attention('sdpa').",
            )
        return _flex(q.device.type)(q, k, v, block_mask=mask)


@cache
def _flex(device: str) -> Any:
    """Compiled where that pays; lengths differ from call to call, and must not compile it again."""
    return torch.compile(flex_attention, dynamic=True) if device == "cuda" else flex_attention
