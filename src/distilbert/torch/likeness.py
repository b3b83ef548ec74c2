"""The objective of sentence embedding: which texts' vectors lie close together.

A contrastive loss compares each text with all others of its step, so that its gradient cannot be added up
part by part. The vectors of the whole step are made first, without a memory of how; then what each of them
costs is known, and each part is computed once more, with that as the gradient of its vectors (GradCache, Gao
et al. 2021). So the memory is that of a part, and the result that of the whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from distilbert.core import flops
from distilbert.core.data.collate import step_items
from distilbert.core.data.token_rows import Array, TokenRows
from distilbert.core.recipe import Finetuning
from distilbert.core.sentence_folders import write_modules
from distilbert.core.tasks.sentence_embedding import LOSSES, SentenceEmbedding
from distilbert.core.training.course import MicroBatch, Rows, parts
from distilbert.torch.closeness import (
    contrastive_losses,
    cosine_error_sum,
    margin_sum,
    vector_cosine_sum,
    vector_error_sum,
)
from distilbert.torch.dense import DenseLayers
from distilbert.torch.pooling import pooled
from distilbert.torch.pretrained import PreTrainedModel
from distilbert.torch.processes import of_everyone
from distilbert.torch.randomness import random_state, set_random_state
from distilbert.torch.train import Sums


@dataclass
class _Step:
    """A contrastive step of all processes.

    Attributes:
        parts: this process's items, part by part.
        processes: how many there are.
        others: all processes' labelled items, in the order of their vectors once gathered.
        before: labelled items of processes before this one.
        states: what each part draws from.
        losses: of each of this process's labelled items.
        gradients: of all losses, by this process's vectors, [items, K, E].
    """

    parts: list[Rows]
    processes: int
    others: Rows
    before: int
    states: list[dict[str, Tensor]] = field(default_factory=list)
    losses: Tensor | None = None
    gradients: Tensor | None = None


class Likeness:
    """What is learnt, item by item.

    Args:
        task: says by which loss, and how vectors are pooled.
        model: the encoder that learns.
        dense: what stands on its pooling, and learns too.
        rows: the labelled items, then the unlabelled ones.
        labelled: how many are labelled.
        targets: of each labelled item its score, [1].
        soft: the teacher's vectors of each item, [texts, E], or None.
        recipe: weights and what the losses are set to.
    """

    def __init__(
        self,
        task: SentenceEmbedding,
        model: PreTrainedModel,
        dense: DenseLayers,
        rows: TokenRows,
        labelled: int,
        targets: Sequence[Array],
        soft: Sequence[Array] | None,
        recipe: Finetuning,
    ) -> None:
        self.task, self.model, self.extra = task, model, dense
        self.rows, self.labelled, self.lengths = rows, labelled, rows.lengths
        self.targets, self.soft, self.recipe = targets, soft, recipe
        self.weights = {
            "labels": 0.0 if task.loss == "teacher" else recipe.label_weight,
            "teacher": recipe.teacher_weight if soft is not None else 0.0,
        }
        assert rows.starts is not None
        self._starts = rows.starts
        # A number for each text, the same for the same words.
        known: dict[bytes, int] = {}
        self._numbers = [known.setdefault(ids.tobytes(), len(known)) for ids in rows.input_ids]

    @classmethod
    def of(
        cls,
        task: SentenceEmbedding,
        model: PreTrainedModel,
        rows: TokenRows,
        labelled: int,
        targets: Sequence[Array],
        soft: Sequence[Array] | None,
        recipe: Finetuning,
    ) -> Self:
        """The same with the folder's dense layers, and one more where a teacher has another width."""
        width = int(model.config.dim) * len(task.modules.pooling.modes)
        wanted = None if soft is None else soft[0].shape[-1]
        dense = DenseLayers(task.modules, width=width, wanted=wanted).to(model.device)
        # Whoever looks at the model in between sees its dense layers as they then are.
        task = replace(task, modules=dense.learning())
        return cls(task, model, dense, rows, labelled, targets, soft, recipe)

    @property
    def new_weights(self) -> tuple[str, ...]:
        """Names of what was drawn anew."""
        return (f"extra.{self.extra.newest}",) if self.extra.newest else ()

    def write(self, folder: Path, *, max_length: int) -> None:
        """What a folder says of how vectors are made, beside the encoder."""
        modules = replace(self.extra.learnt(), max_seq_length=max_length, encoder="")
        write_modules(folder, modules)

    @property
    def _is_contrastive(self) -> bool:
        return self.task.loss == "contrastive" and self.weights["labels"] > 0

    def steps(self, done: int, share: slice) -> Iterator[list[MicroBatch]]:
        recipe = self.recipe
        for items in step_items(self.lengths, self.labelled, recipe, done=done):
            own = parts(items, share, size=recipe.micro_batch_size)
            if not self._is_contrastive:
                yield [self.micro_batch(part) for part in own]
                continue
            # Every process takes part in a contrastive step, also one that has nothing of its own in it.
            own = own or [items[:0]]
            count = share.step or 1
            by_process = [items[rank::count] for rank in range(count)]
            by_process = [some[some < self.labelled] for some in by_process]
            before = sum(len(some) for some in by_process[: share.start or 0])
            step = _Step(own, count, np.concatenate(by_process), before)
            yield [self.micro_batch(part, step, i) for i, part in enumerate(own)]

    def judged(self, share: slice) -> Iterator[tuple[Sums, dict[str, int]]]:
        yield from ()  # pairs are judged by the task's metrics, when all is learnt

    def arrays(self) -> dict[str, Any]:
        """Everything that is learnt from."""
        arrays = {
            "texts": np.concatenate(self.rows.input_ids),
            "lengths": np.array([len(ids) for ids in self.rows.input_ids]),
            "items": self._starts,
            "labels": np.concatenate([np.zeros(0, np.float32), *self.targets]),
        }
        if self.soft is None:
            return arrays
        return {**arrays, "soft": np.concatenate([vectors.ravel() for vectors in self.soft])}

    def micro_batch(self, items: Rows, step: _Step | None = None, part: int = 0) -> MicroBatch:
        known = items[items < self.labelled]
        labels = len(known)
        if self.task.loss == "cosine":
            labels = sum(bool(np.isfinite(self.targets[item]).all()) for item in known)
        # A teacher is learnt from text by text.
        taught = 0 if self.soft is None else sum(len(self.soft[item]) for item in items)
        lengths = [len(self.rows.input_ids[text]) for text in self.rows.of_items(items)]
        work = flops.of_blocks(self.model.config, lengths, first_only=False)
        return MicroBatch(
            {"items": items, "step": step, "part": part},
            {"labels": labels, "teacher": taught},
            tokens=sum(lengths),
            flops=flops.LEARNING * work,
        )

    def losses(self, batch: MicroBatch, scales: Mapping[str, float]) -> tuple[Tensor, Sums]:
        items, step, part = batch.given["items"], batch.given["step"], batch.given["part"]
        contrastive = step is not None and "labels" in scales
        alone = contrastive and step.processes == len(step.parts) == 1
        if contrastive and not alone:
            if part == 0:
                self._prepare(step)
            set_random_state(step.states[part], self.model.device)
        vectors = self._vectors(items)
        sums: Sums = {}
        terms = []
        # Cosines are compared in full precision, whatever the model computes in.
        with torch.autocast(self.model.device.type, enabled=False):
            if "labels" in scales:
                known = self._known(vectors, items)
                if contrastive and not alone:
                    sums["labels"], term = _recalled(step, part, known, self.labelled)
                elif contrastive:
                    sums["labels"] = term = self._contrastive(known, items).sum()
                else:
                    sums["labels"] = term = self._label_sum(known, items)
                terms.append(scales["labels"] * term)
            if "teacher" in scales:
                sums["teacher"] = self._teacher_sum(vectors, items)
                terms.append(scales["teacher"] * sums["teacher"])
        return torch.stack(terms).sum(), {name: value.detach() for name, value in sums.items()}

    # Vectors.

    def _vectors(self, items: Rows) -> Tensor:
        """The vectors of items' texts, one item after the other, [texts, E]."""
        # Where there are none, one is computed and left out: processes that learn together compute together.
        texts = self.rows.of_items(items if len(items) else np.array([0]))
        ids = [self.rows.input_ids[text] for text in texts]
        vectors: Tensor = self.extra(pooled(self.model, ids, self.task.modules.pooling)).float()
        return vectors if len(items) else vectors[:0]

    def _known(self, vectors: Tensor, items: Rows) -> Tensor:
        """Of items with labels the vectors that their loss needs, [items, K, E]."""
        wanted: list[int] = []
        place = 0
        texts = LOSSES[self.task.loss] if self.task.loss != "contrastive" else None
        for item in items:
            count = int(self._starts[item + 1] - self._starts[item])
            if item < self.labelled:
                wanted += range(place, place + (texts or count))
            place += count
        per = texts or (int(self._starts[1]) if self.labelled else 2)
        chosen = torch.tensor(wanted, dtype=torch.long, device=vectors.device)
        return vectors.index_select(0, chosen).unflatten(0, (len(wanted) // per, per))

    # Losses.

    def _label_sum(self, known_IKE: Tensor, items: Rows) -> Tensor:
        if self.task.loss == "margin":
            return margin_sum(known_IKE[:, 0], known_IKE[:, 1], known_IKE[:, 2], margin=self.recipe.margin)
        scores = np.array([self.targets[item][0] for item in items if item < self.labelled], np.float32)
        scores_I = torch.from_numpy(scores).to(known_IKE.device)
        return cosine_error_sum(known_IKE[:, 0], known_IKE[:, 1], scores_I)

    def _contrastive(self, known_IKE: Tensor, items: Rows) -> Tensor:
        """The loss of each labelled item among these, [items]."""
        numbers = [
            [self._numbers[text] for text in range(self._starts[item], self._starts[item + 1])]
            for item in items
            if item < self.labelled
        ]
        numbers_IK = torch.tensor(numbers, dtype=torch.long, device=known_IKE.device).view(
            known_IKE.shape[:2]
        )
        candidates_CE = known_IKE[:, 1:].transpose(0, 1).flatten(0, 1)
        return contrastive_losses(
            known_IKE[:, 0],
            candidates_CE,
            numbers_IK[:, 0],
            numbers_IK[:, 1:].T.flatten(),
            scale=self.recipe.similarity_scale,
        )

    def _teacher_sum(self, vectors: Tensor, items: Rows) -> Tensor:
        assert self.soft is not None
        if not len(items):
            return vectors.sum()
        teacher = torch.from_numpy(np.concatenate([self.soft[item] for item in items])).to(vectors.device)
        apart = vector_error_sum if self.recipe.vector_loss == "error" else vector_cosine_sum
        return apart(vectors, teacher)

    def _prepare(self, step: _Step) -> None:
        """Find what each vector of a step costs, by all of the step."""
        step.states, found = [], []
        with torch.no_grad():
            for part in step.parts:
                step.states.append(random_state(self.model.device))
                found.append(self._known(self._vectors(part), part))
        own_IKE = torch.cat(found)
        # A process may look at a step by itself, too.
        all_IKE = of_everyone(own_IKE) if step.processes > 1 else own_IKE
        mine = slice(step.before, step.before + len(own_IKE))
        with torch.enable_grad(), torch.autocast(self.model.device.type, enabled=False):
            leaf = all_IKE.detach().requires_grad_()
            losses = self._contrastive(leaf, step.others)
            (gradients,) = torch.autograd.grad(losses.sum(), leaf)
        step.losses, step.gradients = losses.detach()[mine], gradients[mine]


def _recalled(step: _Step, part: int, known_IKE: Tensor, labelled: int) -> tuple[Tensor, Tensor]:
    """A part's losses, and what has their gradient by its vectors."""
    assert step.losses is not None
    assert step.gradients is not None
    sizes = [int(np.count_nonzero(items < labelled)) for items in step.parts]
    mine = slice(sum(sizes[:part]), sum(sizes[: part + 1]))
    total = step.losses[mine].sum()
    slope = (known_IKE * step.gradients[mine]).sum()
    return total, total + slope - slope.detach()
