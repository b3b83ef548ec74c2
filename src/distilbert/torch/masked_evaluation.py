"""How well a model tells the hidden words of a text that it has not read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distilbert.core.data.hidden_words import corpus_of
from distilbert.core.data.texts import Source
from distilbert.core.hub import local_folder
from distilbert.core.model_folders import open_folder
from distilbert.core.progress import Progress, silent
from distilbert.core.recipe import LanguageModelling
from distilbert.core.surgery import require_language_model
from distilbert.core.tasks.metrics import RESAMPLES
from distilbert.torch.device import autocast, pick_device
from distilbert.torch.folders import open_language_model
from distilbert.torch.language_modelling import MaskedWords

#: Sequences that are drawn together when an interval is made: neighbours are of one text, and alike.
_BLOCK = 16


def evaluate_language_model(
    model: str | Path,
    texts: Source,
    *,
    recipe: LanguageModelling | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Judge a masked language model's folder by the hidden words of a text.

    Args:
        model: a BERT or DistilBERT with its masked-language-model head: a folder, or its name on a hub.
        texts: files, folders, strings or rows, as ``Pretrainer`` takes them.
        recipe: how words are hidden, and how long sequences are; its seed decides which words, so that models
            of one tokenizer are asked the same.
        device: "auto", "cpu", "cuda" or "mps".
        progress: told of every batch.

    Returns:
        ``masked_lm``, the mean negative log-likelihood of a hidden word in nats, ``perplexity``, its
        exponential, and ``accuracy`` of the likeliest word, each with a 95% interval; ``hidden`` words of so
        many ``sequences``.

    Raises:
        CheckpointError: the folder cannot be read, or has no such head.
        DataError: no usable text.
    """
    recipe = recipe or LanguageModelling(precision="fp32")
    folder = local_folder(model)
    config, tokenizer = open_folder(folder)
    opened, missing = open_language_model(folder, config, device=pick_device(device))
    require_language_model(folder, missing, config)
    data = corpus_of(texts, tokenizer, config, recipe, progress)
    asked = MaskedWords(opened.eval(), (), data, tokenizer, recipe, held_out=len(data))
    found = []
    with torch.inference_mode(), autocast(opened.device, recipe.precision):
        for start in range(0, len(data), _BLOCK):
            rows = asked.held_out[start : start + _BLOCK]
            sums, counts = asked.judge(asked.hidden(rows))
            found.append((counts["masked_lm"], *(float(sums[name]) for name in ("masked_lm", "accuracy"))))
            progress("tell hidden words", min(start + _BLOCK, len(data)), len(data), {})
    hidden, losses, right = np.array(found, np.float64).T
    rng = np.random.default_rng(recipe.seed)
    draws = rng.integers(0, len(hidden), (RESAMPLES, len(hidden)))
    loss = _share(losses, hidden, draws)
    return {
        "masked_lm": loss,
        "perplexity": {name: float(np.exp(value)) for name, value in loss.items()},
        "accuracy": _share(right, hidden, draws),
        "hidden": int(hidden.sum()),
        "sequences": len(data),
        "text": data.facts(),
    }


def _share(
    part: "np.ndarray[Any, np.dtype[np.float64]]",
    whole: "np.ndarray[Any, np.dtype[np.float64]]",
    draws: "np.ndarray[Any, np.dtype[np.int64]]",
) -> Mapping[str, float]:
    """The share that parts are of wholes, with the limits that 95% of redrawn blocks stay within."""
    redrawn = part[draws].sum(1) / np.maximum(1.0, whole[draws].sum(1))
    low, high = np.percentile(redrawn, [2.5, 97.5])
    return {"value": float(part.sum() / max(1.0, whole.sum())), "low": float(low), "high": float(high)}
