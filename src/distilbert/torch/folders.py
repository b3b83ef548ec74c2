"""Masked language models out of their folders, or new."""

from pathlib import Path
from typing import Any, cast

import torch

from distilbert.core.checkpoint import require_encoder, survey
from distilbert.core.config import BertConfig, EncoderConfig
from distilbert.core.parameters import Head, manifest
from distilbert.torch.bert import BertForMaskedLM
from distilbert.torch.distilbert import DistilBertForMaskedLM
from distilbert.torch.heads import MaskedLanguageModel


def masked_language_model(config: EncoderConfig) -> MaskedLanguageModel:
    """A new masked language model of the configuration's kind."""
    kind = BertForMaskedLM if isinstance(config, BertConfig) else DistilBertForMaskedLM
    return cast(Any, kind)(config)


def open_language_model(
    folder: str | Path, config: EncoderConfig, *, device: torch.device
) -> tuple[MaskedLanguageModel, tuple[str, ...]]:
    """A folder's masked language model, and the keys that the folder has no weights for."""
    report = survey(folder, manifest(config, Head.MASKED_LM), config)
    require_encoder(folder, report.missing, config, Head.MASKED_LM)
    model = masked_language_model(config)
    report = model.load(folder, dtype=torch.float32)
    return model.to(device), report.missing
