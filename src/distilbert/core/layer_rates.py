"""How deep in a model a parameter lies, and what follows of it: how fast it learns, or that it does not."""

from collections.abc import Iterable

from distilbert.core.config import EncoderConfig
from distilbert.core.parameters import base_prefix, is_encoder, layer_of
from distilbert.errors import ConfigError


def depth(key: str, config: EncoderConfig) -> int:
    """0 for the embeddings, then the blocks from 1 on, and above them whatever stands on the encoder.

    Args:
        key: of a parameter, or of one that was put beside it.
        config: of its model.
    """
    if not is_encoder(key, config):
        return config.n_layers + 1
    layer = layer_of(key.removeprefix(base_prefix(config)))
    return 0 if layer is None else layer + 1


def rate_factor(key: str, config: EncoderConfig, *, decay: float) -> float:
    """What a learning rate is multiplied with: 1 at the head, and ``decay`` for each step down from it.

    As in Bao et al. 2021 ("BEiT"), after Howard and Ruder 2018: the last block has ``decay``, the one below
    it ``decay`` squared, and the embeddings the least.
    """
    return float(decay ** (config.n_layers + 1 - depth(key, config)))


def frozen(keys: Iterable[str], config: EncoderConfig, *, freeze: str) -> list[str]:
    """Those of a model's keys that are not to learn.

    Args:
        keys: of its parameters.
        config: the model's.
        freeze: "none", "embeddings", or a number of blocks, with the embeddings under them.

    Raises:
        ConfigError: the model has fewer blocks.
    """
    if freeze == "none":
        return []
    blocks = 0 if freeze == "embeddings" else int(freeze)
    if blocks > config.n_layers:
        raise ConfigError(
            "No more layers can be frozen than there are.",
            received=f"freeze={blocks}, and a model of {config.n_layers} layers",
            remedy=f"Freeze fewer: --freeze {config.n_layers - 1}",
        )
    return [key for key in keys if depth(key, config) <= blocks]
