"""Models out of their folders, to be trained or asked."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from distilbert.core.checkpoint import refuse_hollow, require_encoder, survey
from distilbert.core.config import BertConfig, EncoderConfig
from distilbert.core.parameters import Head, manifest
from distilbert.core.weight_files import Weights
from distilbert.keras.bert import BertForMaskedLM
from distilbert.keras.device import on
from distilbert.keras.distilbert import DistilBertForMaskedLM
from distilbert.keras.heads import MaskedLanguageModel
from distilbert.keras.pretrained import PreTrainedModel


def masked_language_model(config: EncoderConfig, **settings: Any) -> MaskedLanguageModel:
    """A new masked language model of the configuration's kind; ``settings`` are its class's."""
    kind: Any = BertForMaskedLM if isinstance(config, BertConfig) else DistilBertForMaskedLM
    return kind(config, **settings)


def open_language_model(
    folder: str | Path, config: EncoderConfig, *, device: str, policy: str = "float32", seed: int = 0
) -> tuple[MaskedLanguageModel, tuple[str, ...]]:
    """A folder's masked language model, and the keys that the folder has no weights for."""
    report = survey(folder, manifest(config, Head.MASKED_LM), config)
    require_encoder(folder, report.missing, config, Head.MASKED_LM)
    with on(device):
        model = masked_language_model(config, dtype=policy, seed=seed, _do_init=False)
        return model, fill(model, folder)


def fill(model: PreTrainedModel, folder: str | Path, *, skip: Collection[str] = ()) -> tuple[str, ...]:
    """Give a hollow model a folder's weights; the keys of those that are drawn anew, by the model's seed.

    Args:
        model: made with ``_do_init=False``.
        folder: with the weights.
        skip: keys of parameters that are drawn anew in any case.
    """
    with Weights(folder) as file:
        report = model._fill(file, str(folder), skip=skip)
        refuse_hollow(report, model.manifest, file.shapes, str(folder))
    missing = (*report.missing, *skip)
    model._draw(set(missing))
    return missing
