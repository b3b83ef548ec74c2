"""Which self-attention there is to choose, by its published name."""

from typing import Any

from distilbert.core.config import EncoderConfig
from distilbert.errors import ConfigError
from distilbert.keras.attention import DotProductAttention, EagerAttention, SelfAttention
from distilbert.keras.modules import Policy

IMPLEMENTATIONS: dict[str, type[SelfAttention]] = {
    "eager": EagerAttention,
    "dot_product_attention": DotProductAttention,
}

#: What a configuration says where nobody chose, in PyTorch's words. Here that is the form which does all
#: there is to do, dropout too.
_UNCHOSEN = {"sdpa": "eager"}


def attention_class(implementation: Any) -> type[SelfAttention]:
    """The class of an implementation.

    Raises:
        ConfigError: there is none of this name.
    """
    name = _UNCHOSEN.get(implementation, implementation) if isinstance(implementation, str) else None
    if name not in IMPLEMENTATIONS:
        raise ConfigError(
            f"attn_implementation must be one of {', '.join(IMPLEMENTATIONS)}.",
            received=f"attn_implementation={implementation!r}",
            remedy="Choose eager unless you have a reason.",
        )
    return IMPLEMENTATIONS[name]


def attention(config: EncoderConfig, *, layer: int, policy: Policy) -> SelfAttention:
    """The self-attention of one block, of the implementation that the configuration names.

    Raises:
        ConfigError: there is no such implementation.
    """
    return attention_class(config.attn_implementation)(config, layer=layer, policy=policy)
