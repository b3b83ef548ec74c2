"""Which self-attention there is to choose, by its published name."""

from collections.abc import Callable
from typing import Any

from distilbert.core.config import EncoderConfig
from distilbert.errors import ConfigError
from distilbert.torch.attention import EagerAttention, SdpaAttention, SelfAttention


def _flash() -> type[SelfAttention]:
    from distilbert.torch.varlen import FlashAttention

    return FlashAttention


def _flex() -> type[SelfAttention]:
    from distilbert.torch.flex import FlexAttention

    return FlexAttention


#: What loads each; the last two bring more of PyTorch with them, so they are loaded when chosen.
IMPLEMENTATIONS: dict[str, Callable[[], type[SelfAttention]]] = {
    "eager": lambda: EagerAttention,
    "sdpa": lambda: SdpaAttention,
    "flex_attention": _flex,
    "flash_attention_2": _flash,
}


def attention_class(implementation: Any) -> type[SelfAttention]:
    """The class of an implementation.

    Raises:
        ConfigError: there is none of this name.
    """
    if not isinstance(implementation, str) or implementation not in IMPLEMENTATIONS:
        raise ConfigError(
            f"attn_implementation must be one of {', '.join(IMPLEMENTATIONS)}.",
            received=f"attn_implementation={implementation!r}",
            remedy="Choose sdpa unless you have a reason.",
        )
    return IMPLEMENTATIONS[implementation]()


def attention(config: EncoderConfig, *, layer: int) -> SelfAttention:
    """The self-attention of one block, of the implementation that the configuration names.

    Raises:
        ConfigError: there is no such implementation.
        MissingExtraError: it needs a package that is not installed.
    """
    return attention_class(config.attn_implementation)(config, layer=layer)
