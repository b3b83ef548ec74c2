"""Sentence embeddings: texts in, one vector each out, as the model's folder says how."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch

from distilbert.core import rules
from distilbert.core.checkpoint import require_encoder, survey
from distilbert.core.config import BertConfig, DistilBertConfig, EncoderConfig
from distilbert.core.data.collate import length_sorted_batches
from distilbert.core.data.readers import OwnReader
from distilbert.core.hub import local_folder
from distilbert.core.model_folders import open_folder
from distilbert.core.parameters import Head, parameters_of
from distilbert.core.pooling import Normalize, Pooling
from distilbert.core.progress import Progress, silent
from distilbert.core.sentence_folders import SentenceModules, encoder_folder, read_modules
from distilbert.core.sentence_texts import longest_text, tokenize
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.errors import CheckpointError, ConfigError, DataError
from distilbert.torch.bert import BertModel
from distilbert.torch.device import autocast, pick_device
from distilbert.torch.distilbert import DistilBertModel
from distilbert.torch.pooling import pooled
from distilbert.torch.pretrained import PreTrainedModel

logger = logging.getLogger(__name__)

Vectors = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Embedder:
    """An encoder with its tokenizer, and what makes one vector of a text's states.

    Attributes:
        model: the encoder, on its device, in eval mode.
        tokenizer: of the same folder.
        modules: pooling, dense layers and normalising, and prompts.
        max_length: in tokens; longer texts are cut to it.
        precision: as in a recipe.
    """

    model: PreTrainedModel
    tokenizer: DistilBertTokenizerFast
    modules: SentenceModules
    max_length: int
    precision: str = "fp32"

    @classmethod
    def open(
        cls,
        folder: str | Path,
        *,
        pooling: str | Sequence[str] | None = None,
        normalize: bool | None = None,
        device: str = "auto",
        precision: str = "fp32",
    ) -> Self:
        """From a sentence-embedding folder, or that of any BERT or DistilBERT; or its name on a hub.

        Args:
            folder: its ``modules.json`` says how vectors are made; without one the states' mean is taken.
            pooling: one or more of "mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean" and
                "lasttoken", instead of the folder's.
            normalize: True gives vectors of length one, False leaves them as long as they are; None is what
                the folder says.
            device: "auto", "cpu", "cuda" or "mps".
            precision: "fp32", "bf16" or "auto".

        Raises:
            CheckpointError: a file is missing or damaged.
            ConfigError: no such pooling, or a folder of other modules.
        """
        folder = local_folder(folder)
        modules = read_modules(folder)
        if modules is None:
            modules = SentenceModules()
            if pooling is None:
                logger.warning(
                    "%s does not say how to make vectors: the mean of the states is taken.", folder
                )
        place = encoder_folder(folder)
        config, tokenizer = open_folder(place)
        model = load_encoder(place, config)
        if pooling is not None:
            modes = (pooling,) if isinstance(pooling, str) else tuple(pooling)
            modules = replace(modules, pooling=Pooling(modes, modules.pooling.include_prompt))
        model.to(pick_device(device)).eval()
        longest = longest_text(modules, config, tokenizer)
        return cls(model, tokenizer, with_normalizing(modules, normalize), longest, precision)

    def encode(
        self,
        texts: Iterable[str],
        *,
        prompt: str | None = None,
        batch_size: int = 32,
        progress: Progress = silent,
    ) -> Vectors:
        """The vectors of texts, [texts, E], in their order; a text's company changes nothing but rounding.

        Args:
            texts: one vector each.
            prompt: the name of one of the folder's prompts, which is put before each text; None takes
                the folder's default, "" none.
            batch_size: texts in memory at once.
            progress: told of every batch.

        Raises:
            CheckpointError: a vector is not finite.
            ConfigError: the folder has no such prompt.
            DataError: something that is not a text of valid Unicode, or one text in the place of several.
        """
        return self.encode_and_cut(texts, prompt=prompt, batch_size=batch_size, progress=progress)[0]

    def encode_and_cut(
        self,
        texts: Iterable[str],
        *,
        prompt: str | None = None,
        batch_size: int = 32,
        progress: Progress = silent,
    ) -> tuple[Vectors, int]:
        """The same, and how many texts were cut to ``max_length``."""
        if isinstance(texts, str):
            raise DataError(
                "Texts are given as several, such as a list.",
                received=f"the text {texts!r:.60}",
                remedy="Put it into a list: encode([text]).",
            )
        rules.integer(1)("batch_size", batch_size)
        before = self._prompt(prompt)
        rows, dropped, skipped = tokenize(
            OwnReader(self.tokenizer),
            list(texts),
            self.modules,
            before=before,
            max_length=self.max_length,
        )
        found = np.zeros((len(rows), self._pooled_width), np.float32)
        lengths = np.array([len(row) for row in rows], np.int64)
        done = 0
        with torch.inference_mode(), autocast(self.model.device, self.precision):
            for batch in length_sorted_batches(lengths, batch_size=batch_size):
                vectors = pooled(self.model, [rows[i] for i in batch], self.modules.pooling, skipped=skipped)
                found[batch] = vectors.float().cpu().numpy()
                done += len(batch)
                progress("embed", done, len(rows), {})
        found = self.modules.finish(found)
        if not np.isfinite(found).all():
            wrong = int(np.nonzero(~np.isfinite(found).all(axis=1))[0][0])
            raise CheckpointError(
                "A text's vector must be finite.",
                received=f"another for text {wrong}",
                remedy="Restore the model's weights, or train it again with a lower learning rate.",
            )
        return found, int(np.count_nonzero(dropped))

    @property
    def width(self) -> int:
        """Numbers of a vector."""
        return self.modules.finish(np.zeros((1, self._pooled_width), np.float32)).shape[1]

    @property
    def _pooled_width(self) -> int:
        return int(self.model.config.dim) * len(self.modules.pooling.modes)

    def _prompt(self, name: str | None) -> str:
        prompts = self.modules.prompts
        name = self.modules.default_prompt_name if name is None else name
        if name and name not in prompts:
            raise ConfigError(
                "A prompt is named as the folder names it.",
                received=f"prompt={name!r:.60}, and a folder with {', '.join(prompts) or 'none'}",
                remedy="Choose one of these, or put the instruction before the texts yourself.",
            )
        return prompts[name] if name else ""


def new_encoder(config: EncoderConfig) -> PreTrainedModel:
    """A new encoder without a head, and without a BERT's pooler, which no vector is made by."""
    if isinstance(config, BertConfig):
        return BertModel(config, pooled=False)
    return DistilBertModel(cast(DistilBertConfig, config))


def load_encoder(folder: Path, config: EncoderConfig) -> PreTrainedModel:
    """A folder's encoder.

    Raises:
        CheckpointError: it is not whole.
    """
    parameters = parameters_of(Head.NONE, config)
    require_encoder(folder, survey(folder, parameters, config).missing, config, Head.NONE)
    model = new_encoder(config)
    model.load(folder, dtype=torch.float32)
    return model


def with_normalizing(modules: SentenceModules, wanted: bool | None) -> SentenceModules:
    """The same, with vectors of length one, or without that."""
    if wanted is None or (wanted and modules.after and isinstance(modules.after[-1], Normalize)):
        return modules
    if wanted:
        return replace(modules, after=(*modules.after, Normalize()))
    return replace(modules, after=tuple(m for m in modules.after if not isinstance(m, Normalize)))
