"""Distillation during pre-training: a teacher and text in, a student of half the depth out.

And ``Pretrainer``: the same run without a teacher, which makes teachers and is the control.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distilbert.core.config import EncoderConfig
from distilbert.core.copies import fingerprint
from distilbert.core.data.answers import Answers
from distilbert.core.data.collate import attention_mask, pad
from distilbert.core.data.corpus import Corpus
from distilbert.core.data.texts import Source
from distilbert.core.hub import local_folder
from distilbert.core.layers import Take
from distilbert.core.narrowing import SAMPLE_LENGTH, SAMPLE_ROWS, sample_states
from distilbert.core.parameters import POSITION_EMBEDDINGS, base_prefix
from distilbert.core.progress import Progress, silent
from distilbert.core.recipe import LanguageModelling
from distilbert.core.students import Init, StudentShape
from distilbert.core.surgery import require_language_model, student_arrays
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.weight_files import Arrays
from distilbert.torch.device import pick_device
from distilbert.torch.doctor import Finding, examine
from distilbert.torch.folders import masked_language_model, open_folder, open_language_model
from distilbert.torch.heads import MaskedLanguageModel
from distilbert.torch.hidden_words import corpus_of
from distilbert.torch.language_modelling import MaskedWords, Teacher
from distilbert.torch.runs import Job, Plan, Run, complete, rehearse

#: Of so many sequences at most one is held out.
_LEAST_LEARNT = 20


class Distiller:
    """Makes a student of a teacher (Sanh et al. 2019).

    Args:
        teacher: a BERT or DistilBERT with its masked-language-model head: a folder, or its name on a hub.
        layers: how many of its layers the student keeps, or which.
        take, dim, n_heads, hidden_dim, positions: the student's other sizes, as ``StudentShape`` has them.
        init: where its first weights come from: "layers", "slice", "pca" or "random". None chooses as
            ``StudentShape.plan`` does.
        answers: a folder that ``ask`` has written: the teacher's distributions are read there, and the
            teacher itself gives the student's first weights and nothing else.
        recipe: a ``LanguageModelling``, its name, or a file.
        device: "auto", "cpu", "cuda" or "mps".
        progress: told of every stage.
    """

    def __init__(
        self,
        teacher: str | Path,
        *,
        layers: int | Sequence[int],
        take: Take | None = None,
        dim: int | None = None,
        n_heads: int | None = None,
        hidden_dim: int | None = None,
        positions: int | None = None,
        init: Init | None = None,
        answers: str | Path | None = None,
        recipe: LanguageModelling | str | Path = "default",
        device: str = "auto",
        progress: Progress = silent,
    ) -> None:
        self.teacher = teacher
        self.shape = StudentShape(layers, take, dim, n_heads, hidden_dim, positions)
        self.init = init
        self.answers = answers
        self.recipe = _recipe(recipe)
        self.device = device
        self.progress = progress

    def run(
        self,
        texts: Source,
        *,
        out: str | Path,
        force: bool = False,
        resume: bool = False,
        budget: float | None = None,
    ) -> Run:
        """Distil, and write the student's folder.

        Args:
            texts: what both models read: files, folders, strings or rows, as ``texts_of`` takes them.
            out: the student's folder.
            force: replace a model that stands there, and give up what an interrupted run left.
            resume: go on, bit for bit, with the same run where something interrupted it.
            budget: seconds that the whole may take, in place of the recipe's epochs, steps and tokens.

        Raises:
            CheckpointError: the teacher's folder cannot be read.
            ConfigError: a teacher, layers or weights that do not go together.
            DataError: no usable text.
            OutputError: ``out`` is taken or cannot be written.
            TrainingError: a loss is not finite; the last good checkpoint is named.
        """
        return complete(
            lambda device: self._prepare(texts, device),
            recipe=self.recipe,
            device=self.device,
            out=out,
            force=force,
            resume=resume,
            budget=budget,
            progress=self.progress,
        )

    def rehearse(self, texts: Source) -> Plan:
        """What ``run`` would take; a few steps are run, and nothing is written."""
        return rehearse(
            lambda device: self._prepare(texts, device),
            recipe=self.recipe,
            device=self.device,
            progress=self.progress,
        )

    def examine(self, texts: Source) -> Sequence[Finding]:
        """What is likely wrong with this run; nothing is trained, and nothing written."""
        return self._prepare(texts, pick_device(self.device)).examine()

    def _prepare(self, texts: Source, device: torch.device) -> Job:
        folder = local_folder(self.teacher)
        config, tokenizer = open_folder(folder)
        plan = self.shape.plan(config, init=self.init)
        teacher, missing = open_language_model(folder, config, device=device)
        require_language_model(folder, missing, config)
        answers = None if self.answers is None else Answers(self.answers)
        data = corpus_of(texts, tokenizer, plan.config, self.recipe, self.progress)
        arrays = teacher.arrays()
        student = masked_language_model(plan.config)
        student.assign(
            student_arrays(
                config,
                arrays,
                plan,
                rng=np.random.default_rng(self.recipe.seed),
                states=_states(data, config, arrays) if plan.config.dim < config.dim else None,
            )
        )
        if self.recipe.freeze_positions:
            key = base_prefix(student.config) + POSITION_EMBEDDINGS
            student.get_parameter(key).requires_grad_(False)
        facts = {
            "made_by": "distill",
            "teacher": {
                "model_type": config.model_type,
                "n_layers": config.n_layers,
                "weights": fingerprint(arrays),
            },
            **plan.facts(),
        }
        if answers is not None:
            facts["answers"] = {"teacher": answers.facts["teacher"], "top": answers.top}
        teachers = [Teacher(teacher)] if answers is None else []
        return _job("distil", student.to(device), teachers, tokenizer, data, self.recipe, facts, answers)


class Pretrainer:
    """Teaches a model to tell hidden words of a text; gives it the head for that where it has none.

    Args:
        model: a BERT or DistilBERT: a folder, or its name on a hub.
        recipe: a ``LanguageModelling``, its name, or a file; what it says of a teacher is not used.
        device: "auto", "cpu", "cuda" or "mps".
        progress: told of every stage.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        recipe: LanguageModelling | str | Path = "adapt",
        device: str = "auto",
        progress: Progress = silent,
    ) -> None:
        self.model = model
        self.recipe = _recipe(recipe)
        self.device = device
        self.progress = progress

    def run(
        self,
        texts: Source,
        *,
        out: str | Path,
        force: bool = False,
        resume: bool = False,
        budget: float | None = None,
    ) -> Run:
        """Train, and write the model's folder. Arguments and errors are ``Distiller.run``'s."""
        return complete(
            lambda device: self._prepare(texts, device),
            recipe=self.recipe,
            device=self.device,
            out=out,
            force=force,
            resume=resume,
            budget=budget,
            progress=self.progress,
        )

    def rehearse(self, texts: Source) -> Plan:
        """What ``run`` would take; a few steps are run, and nothing is written."""
        return rehearse(
            lambda device: self._prepare(texts, device),
            recipe=self.recipe,
            device=self.device,
            progress=self.progress,
        )

    def _prepare(self, texts: Source, device: torch.device) -> Job:
        folder = local_folder(self.model)
        config, tokenizer = open_folder(folder)
        model, missing = open_language_model(folder, config, device=device)
        data = corpus_of(texts, tokenizer, config, self.recipe, self.progress)
        facts = {"made_by": "pretrain", "new_weights": list(missing)}
        job = _job("learn hidden words", model, [], tokenizer, data, self.recipe, facts)
        return replace(job, new_weights=missing)


def _job(
    stage: str,
    model: MaskedLanguageModel,
    teachers: Sequence[Teacher],
    tokenizer: DistilBertTokenizerFast,
    data: Corpus,
    recipe: LanguageModelling,
    facts: dict[str, Any],
    answers: Answers | None = None,
) -> Job:
    held_out = min(recipe.held_out, len(data) // _LEAST_LEARNT)
    objective = MaskedWords(model, teachers, data, tokenizer, recipe, held_out=held_out, answers=answers)
    return Job(
        stage,
        model,
        tokenizer,
        objective,
        recipe,
        recipe.total_steps(len(data) - held_out, tokens=int(data.lengths.sum())),
        facts={**facts, "text": data.facts()},
        examine=partial(examine, objective, tokenizer),
    )


def _states(data: Corpus, config: EncoderConfig, arrays: Arrays) -> Any:
    """What a teacher makes of the first sequences, by which a narrower student is cut."""
    rows = [data[i][:SAMPLE_LENGTH] for i in range(min(SAMPLE_ROWS, len(data)))]
    return sample_states(config, arrays, pad(rows, value=config.pad_token_id), attention_mask(rows))


def _recipe(recipe: LanguageModelling | str | Path) -> LanguageModelling:
    return recipe if isinstance(recipe, LanguageModelling) else LanguageModelling.read(recipe)
