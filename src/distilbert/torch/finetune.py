"""Fine-tuning a classifier on labelled texts, alone or taught by a fine-tuned teacher."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from distilbert.core import flops
from distilbert.core.checkpoint import require_encoder, survey
from distilbert.core.config import IGNORED_LABEL
from distilbert.core.copies import fingerprint
from distilbert.core.data.collate import attention_mask, endless_batches, pad
from distilbert.core.hub import local_folder
from distilbert.core.parameters import Head, manifest
from distilbert.core.progress import Progress, silent
from distilbert.core.recipe import Finetuning
from distilbert.core.tasks import LabelledTexts, SequenceClassification
from distilbert.core.tasks.metrics import require_metrics
from distilbert.core.teachers.agreement import agreement
from distilbert.core.teachers.targets import Targets, Teacher, Teaching, Unasked
from distilbert.core.text import TokenizedTexts
from distilbert.errors import ConfigError
from distilbert.torch.classifier import TextClassifier
from distilbert.torch.device import pick_device
from distilbert.torch.doctor import Finding
from distilbert.torch.evaluate import score
from distilbert.torch.folders import open_folder, sequence_classifier
from distilbert.torch.heads import SequenceClassifier
from distilbert.torch.label_findings import examine
from distilbert.torch.losses import cross_entropy_sum, distribution_sum
from distilbert.torch.runs import Job, Plan, Run, complete, rehearse
from distilbert.torch.task_teachers import open_teacher
from distilbert.torch.train import MicroBatch, Sums, parts


class Finetuner:
    """Makes a classifier of a model.

    Args:
        model: a BERT or DistilBERT: a folder, or its name on a hub. Its classifier is kept where it has
            the data's labels.
        teacher: whose answers are learnt too: a classifier with the data's labels, or an entailment model,
            named likewise; a file of labels or probabilities; or any ``Teacher``, such as a ``ChatTeacher``.
        recipe: a ``Finetuning``, its name, or a file.
        device: "auto", "cpu", "cuda" or "mps".
        progress: told of every stage.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        teacher: str | Path | Teacher | None = None,
        recipe: Finetuning | str | Path = "default",
        device: str = "auto",
        progress: Progress = silent,
    ) -> None:
        self.model = model
        self.teacher = teacher
        self.recipe = recipe if isinstance(recipe, Finetuning) else Finetuning.read(recipe)
        self.device = device
        self.progress = progress

    def run(
        self,
        train: LabelledTexts,
        *,
        out: str | Path,
        unlabelled: Sequence[str] = (),
        evaluate: LabelledTexts | None = None,
        force: bool = False,
        resume: bool = False,
        budget: float | None = None,
        track: str | None = None,
    ) -> Run:
        """Fine-tune, and write the classifier's folder.

        Args:
            train: texts with their labels.
            out: the classifier's folder.
            unlabelled: texts of which only the teacher's answer is learnt.
            evaluate: texts with labels to judge the result by.
            force: replace a model that stands at ``out``, and give up what an interrupted run left.
            resume: go on, bit for bit, with the same run where something interrupted it.
            budget: seconds that the whole may take, in place of the recipe's epochs and steps.
            track: a tracker that is told of every step: "tensorboard", "mlflow" or "wandb"; what it writes
                stands in ``<out>.tracked``.

        Raises:
            CheckpointError: a folder cannot be read.
            ConfigError: unlabelled texts without a teacher, or a teacher of other labels.
            DataError: one label only, labels in ``evaluate`` that ``train`` does not have, or a teacher that
                answers nothing.
            MissingExtraError: the tracker is not installed.
            OutputError: ``out`` is taken or cannot be written.
            TrainingError: a loss is not finite; the last good checkpoint is named.
        """
        return complete(
            lambda device: self._prepare(train, unlabelled, evaluate, device),
            recipe=self.recipe,
            device=self.device,
            out=out,
            force=force,
            resume=resume,
            budget=budget,
            track=track,
            progress=self.progress,
        )

    def rehearse(
        self,
        train: LabelledTexts,
        *,
        unlabelled: Sequence[str] = (),
        evaluate: LabelledTexts | None = None,
    ) -> Plan:
        """What ``run`` would take; a few steps are run, and nothing is written."""
        return rehearse(
            lambda device: self._prepare(train, unlabelled, evaluate, device, rehearsed=True),
            recipe=self.recipe,
            device=self.device,
            progress=self.progress,
        )

    def examine(self, train: LabelledTexts, *, unlabelled: Sequence[str] = ()) -> Sequence[Finding]:
        """What is likely wrong with this run; nothing is trained, written or paid for."""
        device = pick_device(self.device)
        return self._prepare(train, unlabelled, None, device, rehearsed=True).examine()

    def _prepare(
        self,
        train: LabelledTexts,
        unlabelled: Sequence[str],
        evaluate: LabelledTexts | None,
        device: torch.device,
        *,
        rehearsed: bool = False,
    ) -> Job:
        if evaluate is not None:
            require_metrics()
        task = SequenceClassification.of_labels(train.labels)
        truth = None if evaluate is None else task.ids(evaluate.labels, source="the evaluation data")
        if unlabelled and self.teacher is None:
            raise ConfigError(
                "Texts without labels need a teacher to say what to learn from them.",
                received=f"{len(unlabelled)} unlabelled texts and no teacher",
                remedy="Name a fine-tuned folder: --teacher DIR",
            )
        pupil, new_weights = self._pupil(task, device)
        lessons = self._lessons(task, train, unlabelled, evaluate, rehearsed=rehearsed)
        if lessons is not None:
            unlabelled = lessons.unlabelled[0]
        labels = task.ids(train.labels, source="the training data")
        tokenized = pupil.tokenizer.encode_texts([*train.texts, *unlabelled], max_length=pupil.max_length)
        objective = Labels(pupil, tokenized, labels, None if lessons is None else lessons.all, self.recipe)
        facts = {
            "made_by": "finetune",
            "task": task.facts(),
            "max_length": pupil.max_length,
            "data": {
                "labelled": len(train),
                "unlabelled": len(unlabelled),
                "cut_to_max_length": int(np.count_nonzero(tokenized.dropped)),
                "fingerprint": fingerprint(objective.arrays()),
            },
            "taught": lessons is not None,
            **({} if lessons is None else {"teacher": dict(lessons.facts)}),
            "new_weights": list(new_weights),
        }

        def conclude() -> dict[str, Any]:
            found: dict[str, Any] = {"asked": lessons.account} if lessons and lessons.account else {}
            if evaluate is None or truth is None:
                return found
            answers, cut = pupil.ids(evaluate.texts, stage="evaluate", progress=self.progress)
            options: dict[str, Any] = {"seed": self.recipe.seed, "progress": self.progress}
            found["evaluation"] = score(truth, answers, cut=cut, **options)
            if lessons is not None and lessons.gold is not None:
                found["agreement"] = agreement(truth, lessons.gold, answers, **options)
            return found

        total = self.recipe.total_steps(len(train))
        return Job(
            "fine-tune",
            pupil.model,
            pupil.tokenizer,
            objective,
            self.recipe,
            total,
            new_weights,
            facts,
            conclude,
            partial(
                examine,
                objective,
                self.recipe,
                texts=tokenized.input_ids,
                unknown_id=pupil.tokenizer.unk_token_id,
                names=task.labels,
                labels=labels,
                taught=None if lessons is None else lessons.labelled,
            ),
        )

    def _pupil(
        self, task: SequenceClassification, device: torch.device
    ) -> tuple[TextClassifier, tuple[str, ...]]:
        """The model to train, with the folder's own head where it has these labels, and what is new in it."""
        folder = local_folder(self.model)
        config, tokenizer = open_folder(folder)
        known = tuple(config.id2label[i] for i in range(config.num_labels)) == task.labels
        config.id2label = dict(enumerate(task.labels))
        config.label2id = {label: i for i, label in enumerate(task.labels)}
        config.problem_type = "single_label_classification"
        parameters = manifest(config, Head.SEQUENCE_CLASSIFICATION)
        skipped = () if known else parameters[len(manifest(config)) :]
        report = survey(folder, [p for p in parameters if p not in skipped], config)
        require_encoder(folder, report.missing, config, Head.SEQUENCE_CLASSIFICATION)
        model = sequence_classifier(config)
        missing = model.load(folder, dtype=torch.float32, skip=skipped).missing
        model.to(device)
        longest = min(self.recipe.max_length, config.max_position_embeddings)
        new_weights = (*missing, *(parameter.key for parameter in skipped))
        pupil = TextClassifier(model, tokenizer, task, longest, self.recipe.precision)
        return pupil, new_weights

    def _lessons(
        self,
        task: SequenceClassification,
        train: LabelledTexts,
        unlabelled: Sequence[str],
        evaluate: LabelledTexts | None,
        *,
        rehearsed: bool,
    ) -> Teaching | None:
        """What the teacher answers; it is not held beyond that."""
        if self.teacher is None:
            return None
        teacher = open_teacher(
            self.teacher, labels=task.labels, device=self.device, precision=self.recipe.precision
        )
        return Teaching.of(
            Unasked() if rehearsed and teacher.paid else teacher,
            task.labels,
            labelled=train.texts,
            unlabelled=unlabelled,
            gold=None if evaluate is None else evaluate.texts,
            progress=self.progress,
        )


class Labels:
    """The objective: the true labels, and a teacher's answers on labelled and unlabelled texts.

    Args:
        pupil: learns.
        tokenized: the labelled texts, then the unlabelled ones.
        labels: ids of the labelled ones, [labelled].
        taught: the teacher's answers to all of them, [labelled + unlabelled], or None.
        recipe: weights and temperature.
    """

    def __init__(
        self,
        pupil: TextClassifier,
        tokenized: TokenizedTexts,
        labels: "np.ndarray[Any, np.dtype[np.int64]]",
        taught: Targets | None,
        recipe: Finetuning,
    ) -> None:
        self.model: SequenceClassifier = pupil.model
        self.extra = nn.Module()
        self.pad_token_id = pupil.tokenizer.pad_token_id
        self.rows, self.lengths = tokenized.input_ids, tokenized.lengths
        self.labelled = len(labels)
        self.labels = np.full(len(self.rows), IGNORED_LABEL, np.int64)
        self.labels[: self.labelled] = labels
        self.taught, self.recipe = taught, recipe
        heard = recipe.teacher_weight if taught is not None else 0.0
        self.weights = {"labels": recipe.label_weight, "teacher": heard}

    def steps(self, done: int, share: slice) -> Iterator[list[MicroBatch]]:
        recipe, lengths = self.recipe, self.lengths
        known = endless_batches(
            lengths[: self.labelled], batch_size=recipe.batch_size, seed=recipe.seed, done=done
        )
        more = endless_batches(
            lengths[self.labelled :], batch_size=recipe.unlabelled_batch_size, seed=recipe.seed, done=done
        )
        has_more = self.labelled < len(self.rows)
        for _, rows in known:
            if has_more:
                rows = np.concatenate([rows, next(more)[1] + self.labelled])
                rows = rows[np.argsort(lengths[rows], kind="stable")]
            yield [self.micro_batch(part) for part in parts(rows, share, size=recipe.micro_batch_size)]

    def judged(self, share: slice) -> Iterator[tuple[Sums, dict[str, int]]]:
        yield from ()  # labelled texts are judged by their task's metrics, when all is learnt

    def arrays(self) -> dict[str, Any]:
        """Everything that is learnt from."""
        arrays = {"texts": np.concatenate(self.rows), "lengths": self.lengths, "labels": self.labels}
        if self.taught is None:
            return arrays
        return {**arrays, "soft": self.taught.logits, "answered": self.taught.known.astype(np.int8)}

    def micro_batch(self, rows: "np.ndarray[Any, np.dtype[np.int64]]") -> MicroBatch:
        texts = [self.rows[row] for row in rows]
        lengths = [len(text) for text in texts]
        tensors = {
            "input_ids": pad(texts, value=self.pad_token_id),
            "attention_mask": attention_mask(texts),
            "labels": self.labels[rows],
        }
        heard = 0
        if self.taught is not None:
            answered = np.flatnonzero(self.taught.known[rows])
            heard = len(answered)
            tensors |= {"answered": answered, "teacher_logits": self.taught.logits[rows[answered]]}
        device = self.model.device
        return MicroBatch(
            {name: torch.from_numpy(array).to(device) for name, array in tensors.items()},
            {"labels": int(np.count_nonzero(rows < self.labelled)), "teacher": heard},
            tokens=sum(lengths),
            flops=flops.LEARNING * flops.of_blocks(self.model.config, lengths, first_only=True),
        )

    def losses(self, batch: MicroBatch, scales: Mapping[str, float]) -> tuple[Tensor, Sums]:
        given = batch.given
        logits = self.model(given["input_ids"], given["attention_mask"], return_dict=True).logits
        sums: Sums = {}
        if "labels" in scales:
            sums["labels"] = cross_entropy_sum(logits, given["labels"])
        if "teacher" in scales:
            sums["teacher"] = distribution_sum(
                logits[given["answered"]], given["teacher_logits"], temperature=self.recipe.temperature
            )
        total = torch.stack([scales[name] * value for name, value in sums.items()]).sum()
        return total, {name: value.detach() for name, value in sums.items()}
