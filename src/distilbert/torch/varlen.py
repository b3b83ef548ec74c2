"""FlashAttention over texts laid end to end: PyTorch's variable-length kernel, or that of flash-attn."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from distilbert.errors import ConfigError, MissingExtraError
from distilbert.torch.attention import SelfAttention
from distilbert.torch.layout import Packed

#: Takes q, k, v [T, N, H], where the texts of queries and of keys begin, and the longest of each.
Kernel = Callable[..., Any]

_OTHERS = "Choose sdpa: attn_implementation='sdpa', or model.set_attention('sdpa')."


def find_kernel() -> Kernel:
    """The kernel that is there.

    Raises:
        MissingExtraError: neither PyTorch (2.10 or newer) nor the package flash-attn brings one.
    """
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        pass
    else:
        return varlen_attn
    try:
        from flash_attn import flash_attn_varlen_func  # type: ignore[import-not-found]
    except ImportError:
        raise MissingExtraError(
            "flash_attention_2 needs PyTorch 2.10 or newer, or the package flash-attn.",
            received=f"PyTorch {torch.__version__}, and flash-attn is not installed",
            remedy=f"Run: pip install 'torch>=2.10'. {_OTHERS}",
        ) from None
    return flash_attn_varlen_func


class FlashAttention(SelfAttention):
    """For half precision on CUDA. It takes texts end to end, or rows without padding.

    Raises:
        MissingExtraError: there is no kernel.
        ConfigError: when called: another device or precision, padding that was not removed, dropout.
    """

    implementation = "flash_attention_2"

    def set_up(self) -> None:
        self._kernel = find_kernel()

    def attend(
        self, q_BNSH: Tensor, k_BNSH: Tensor, v_BNSH: Tensor, columns: Tensor | None
    ) -> tuple[Tensor, None]:
        if columns is not None:
            raise ConfigError(
                "flash_attention_2 takes texts end to end, or rows without padding.",
                received="an attention mask, in a call that removes no padding",
                remedy=f"Leave packing on, and such models uncompiled. {_OTHERS}",
            )
        batch = len(k_BNSH)
        limits = [self._limits(x) for x in (q_BNSH, k_BNSH)]
        q, k, v = (x.transpose(1, 2).flatten(0, 1) for x in (q_BNSH, k_BNSH, v_BNSH))
        context = self._run(q, k, v, *limits, q_BNSH.shape[2], k_BNSH.shape[2])
        return context.unflatten(0, (batch, -1)).transpose(1, 2), None

    def attend_packed(
        self, q_TNH: Tensor, k_TNH: Tensor, v_TNH: Tensor, layout: Packed, *, first_only: bool
    ) -> Tensor:
        limits, longest = layout.limits, layout.lengths[-1]
        if not first_only:
            return self._run(q_TNH, k_TNH, v_TNH, limits, limits, longest, longest)
        each = torch.arange(len(limits), device=limits.device, dtype=torch.int32)
        return self._run(q_TNH, k_TNH, v_TNH, each, limits, 1, longest)

    def _run(self, q: Tensor, k: Tensor, v: Tensor, *where: Any) -> Tensor:
        self.refuse_dropout()
        self.refuse_others_than_half_on_cuda(q)
        return self._kernel(q.contiguous(), k.contiguous(), v.contiguous(), *where)

    @staticmethod
    def refuse_others_than_half_on_cuda(q: Tensor) -> None:
        """What no kernel computes.

        Raises:
            ConfigError: another device or precision.
        """
        if q.device.type != "cuda" or q.dtype not in (torch.float16, torch.bfloat16):
            raise ConfigError(
                "flash_attention_2 computes in float16 or bfloat16, on a CUDA GPU.",
                received=f"{str(q.dtype).removeprefix('torch.')} on {q.device.type}",
                remedy=f"Load with dtype='bfloat16' onto cuda. {_OTHERS}",
            )

    @staticmethod
    def _limits(x_BNSH: Tensor) -> Tensor:
        batch, _, length, _ = x_BNSH.shape
        return torch.arange(0, (batch + 1) * length, length, device=x_BNSH.device, dtype=torch.int32)
