"""Asking a teacher once about the words that will be hidden from its students."""

import shutil
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distilbert.core import rules
from distilbert.core.config import IGNORED_LABEL
from distilbert.core.copies import RUN_FILE, claimed, fingerprint
from distilbert.core.data.answers import Answers, AnswerWriter
from distilbert.core.data.hidden_words import corpus_of, masking_of, what_is_asked
from distilbert.core.data.masking import sequence_rng
from distilbert.core.data.packing import pack
from distilbert.core.data.texts import Source
from distilbert.core.hub import local_folder
from distilbert.core.model_folders import open_folder
from distilbert.core.output import put_in_place, refuse_taken
from distilbert.core.progress import Progress, silent
from distilbert.core.recipe import LanguageModelling
from distilbert.core.surgery import require_language_model
from distilbert.errors import ConfigError
from distilbert.torch.device import autocast, pick_device
from distilbert.torch.folders import open_language_model
from distilbert.torch.foreign import is_foreign
from distilbert.torch.vocabulary import tokens_at_once

#: Batches after which the answers so far are put on the disk.
_SETTLED_EVERY = 100


def ask(
    teacher: str | Path,
    texts: Source,
    *,
    out: str | Path,
    recipe: LanguageModelling | str | Path = "default",
    epochs: int | None = None,
    top: int = 32,
    force: bool = False,
    resume: bool = False,
    device: str = "auto",
    progress: Progress = silent,
) -> Answers:
    """Write a folder of a teacher's answers at hidden words, which ``Distiller`` takes in its place.

    While they are asked for they stand in ``<out>.checkpoints``.

    Args:
        teacher: a BERT or DistilBERT with its masked-language-model head: a folder, or its name on a hub.
        texts: what its students will read.
        out: the folder of answers.
        recipe: of the students; it says which words are hidden and at which temperature is asked.
        epochs: ways of hiding words; by default as many as the recipe reads the text.
        top: words of each answer.
        force: give up what an interrupted run left.
        resume: go on where something interrupted the same run; the answers are those of a whole one.
        device: "auto", "cpu", "cuda" or "mps".
        progress: told of every part.

    Raises:
        CheckpointError: the teacher's folder cannot be read.
        ConfigError: a teacher without that head or of another family, a recipe that listens to more than
            hidden words, or another run to resume.
        DataError: no usable text.
        OutputError: ``out`` is taken or cannot be written.
    """
    recipe = recipe if isinstance(recipe, LanguageModelling) else LanguageModelling.read(recipe)
    if recipe.positions != "masked":
        raise ConfigError(
            "A teacher can be asked beforehand about hidden words only.",
            received=f"positions={recipe.positions}",
            remedy="Choose positions=masked.",
        )
    refuse_taken(Path(out).resolve(), force=False)
    folder = local_folder(teacher)
    if is_foreign(folder):
        raise ConfigError(
            "A teacher that is asked beforehand must be a BERT or DistilBERT, whose words its students have.",
            received=f"{teacher} of another family",
            remedy="Learn from it while it runs: distilbert distill --teacher, with --vocabulary shared.",
        )
    config, tokenizer = open_folder(folder)
    top = rules.integer(1, config.vocab_size)("top", top)
    epochs = rules.integer(1)("epochs", max(1, round(recipe.epochs)) if epochs is None else epochs)
    model, missing = open_language_model(folder, config, device=pick_device(device))
    require_language_model(folder, missing, config)
    data = corpus_of(texts, tokenizer, config, recipe, progress)
    masking = masking_of(data, tokenizer, config.vocab_size, recipe)
    facts = {
        **what_is_asked(data, config.vocab_size, recipe),
        "teacher": fingerprint(model.arrays()),
        "recipe": recipe.facts(),
    }
    model.eval()
    total, size = epochs * len(data), recipe.micro_batch_size
    with claimed(out, resume=resume, force=force) as copies:
        place = copies.path(0)
        if not resume:
            shutil.rmtree(place, ignore_errors=True)
        writer = AnswerWriter(place, top=top, epochs=epochs, vocab_size=config.vocab_size, facts=facts)
        with writer, torch.inference_mode(), autocast(model.device, recipe.precision):
            for batch, start in enumerate(range(writer.done, total, size), start=1):
                end = min(start + size, total)
                hidden, labels = [], []
                for number in range(start, end):
                    epoch, row = divmod(number, len(data))
                    pair = masking(data[row], sequence_rng(recipe.seed, epoch, row))
                    hidden.append(pair[0])
                    labels.append(pair[1])
                scored = np.flatnonzero(np.concatenate(labels) != IGNORED_LABEL)
                states_TD = model.encoder(pack(hidden), return_dict=True).last_hidden_state
                at = torch.from_numpy(scored).to(model.device)
                for rows in at.split(tokens_at_once(at.device)):
                    words, logs = _most_likely(model.token_logits(states_TD[rows]), top, recipe.temperature)
                    writer.add(words.cpu().numpy(), logs.cpu().numpy())
                writer.add_counts([int(np.count_nonzero(row != IGNORED_LABEL)) for row in labels])
                if batch % _SETTLED_EVERY == 0:
                    writer.settle(end)
                progress("ask the teacher", end, total, {})
        put_in_place(place, out)
    (Path(out) / RUN_FILE).unlink(missing_ok=True)
    return Answers(out)


def _most_likely(logits_TV: Tensor, top: int, temperature: float) -> tuple[Tensor, Tensor]:
    """The likeliest words [T, top]; their logarithms and that of all others together, [T, top + 1]."""
    logs_TV = torch.log_softmax(logits_TV.float() / temperature, dim=-1)
    logs_TK, words_TK = logs_TV.topk(top, dim=-1)
    others_T = logs_TV.scatter(1, words_TK, float("-inf")).logsumexp(-1)
    return words_TK, torch.cat([logs_TK, others_T[:, None]], dim=1)
