"""Models out of their folders, to be trained or asked."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from distilbert.core.checkpoint import require_encoder, survey
from distilbert.core.config import BertConfig, EncoderConfig
from distilbert.core.parameters import Head, manifest
from distilbert.core.weight_files import Weights
from distilbert.jax.bert import BertForMaskedLM
from distilbert.jax.distilbert import DistilBertForMaskedLM
from distilbert.jax.heads import MaskedLanguageModel
from distilbert.jax.pretrained import PreTrainedModel


def masked_language_model(config: EncoderConfig, **kinds: Any) -> MaskedLanguageModel:
    """A new masked language model of the configuration's kind; ``kinds`` are its class's."""
    kind: Any = BertForMaskedLM if isinstance(config, BertConfig) else DistilBertForMaskedLM
    return kind(config, **kinds)


def open_language_model(
    folder: str | Path, config: EncoderConfig, *, device: Any, dtype: Any = jnp.float32, seed: int = 0
) -> tuple[MaskedLanguageModel, tuple[str, ...]]:
    """A folder's masked language model, and the keys that the folder has no weights for."""
    report = survey(folder, manifest(config, Head.MASKED_LM), config)
    require_encoder(folder, report.missing, config, Head.MASKED_LM)
    model = masked_language_model(config, dtype=dtype, _do_init=False)
    return model, fill(model, folder, device=device, seed=seed)


def fill(
    model: PreTrainedModel, folder: str | Path, *, device: Any, seed: int = 0, skip: Collection[str] = ()
) -> tuple[str, ...]:
    """Give a hollow model a folder's weights, on a device; the keys of those that are drawn anew.

    Args:
        model: made with ``_do_init=False``.
        folder: with the weights.
        device: that they are to lie on.
        seed: of what is drawn.
        skip: keys of parameters that are drawn anew in any case.
    """
    with Weights(folder) as file:
        leaves, report = model._read(file, str(folder), skip=skip)
    missing = (*report.missing, *skip)
    drawn = model._drawn(jax.random.key(seed), set(missing))
    model._assign(jax.device_put({**leaves, **drawn}, device))
    return missing
