"""The peer's model classes under its own Trainer, on the very examples that ours learn from.

What a task means is the same for both: which columns, which tokens, which labels, which metric. The model,
its loss, its optimiser, its schedule and its loop are the peer's. Begun with one head and without dropout,
five steps in fp32 leave both with the same weights to within 1e-5, in all tasks but one: of questions the
peer's loss counts padding among the places where an answer may be, and ours does not.
"""

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import peer

from distilbert import Finetuning
from distilbert.core.config import BertConfig
from distilbert.core.data.collate import endless_batches
from distilbert.core.data.readers import OwnReader
from distilbert.core.data.token_rows import Array, TokenRows, stacked
from distilbert.core.model_folders import open_folder
from distilbert.core.parameters import Head
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.outcome import judge
from distilbert.core.tasks.reading import task_named
from distilbert.torch.device import computes_in_bf16, pick_device
from distilbert.torch.predictor import Predictor

_CLASSES = {
    Head.SEQUENCE_CLASSIFICATION: "AutoModelForSequenceClassification",
    Head.MULTIPLE_CHOICE: "AutoModelForMultipleChoice",
    Head.TOKEN_CLASSIFICATION: "AutoModelForTokenClassification",
    Head.QUESTION_ANSWERING: "AutoModelForQuestionAnswering",
}


class PeerTraining:
    """A peer's model that is ready to learn a task.

    Args:
        folder: of the model that is begun with; ours and the peer's read it alike.
        known: examples to learn from.
        recipe: the seed, the budget, the batch, the optimiser's settings and the precision.
        order: in which examples are learnt: "ours", "shuffled" as the Trainer does unasked, or "grouped" by
            length as it does on request.
    """

    def __init__(self, folder: Path, known: Examples, recipe: Finetuning, *, order: str = "ours") -> None:
        transformers = peer()
        transformers.set_seed(recipe.seed)
        self.recipe, self.order = recipe, order
        self.task: Any = task_named(known.task).of(known)
        self.config, self.tokenizer = open_folder(folder)
        self.task.configure(self.config)
        self.max_length = min(recipe.max_length, self.config.max_position_embeddings)
        self.rows = self.task.encode(OwnReader(self.tokenizer), known, max_length=self.max_length)
        self.targets = self.task.targets(known, self.rows, source="the training data")
        own: Any = getattr(transformers, _CLASSES[self.task.head])
        labels = {"num_labels": self.config.num_labels, "problem_type": self.config.problem_type}
        self.model, told = own.from_pretrained(folder, **labels, output_loading_info=True)
        self.new_weights = frozenset((*told["missing_keys"], *(key for key, *_ in told["mismatched_keys"])))

    def train(self) -> float:
        """Learn for as many steps as the recipe says; the seconds that the Trainer says it took."""
        recipe, transformers = self.recipe, peer()
        steps = recipe.total_steps(len(self.rows))
        with tempfile.TemporaryDirectory() as place:
            arguments = transformers.TrainingArguments(
                output_dir=place,
                max_steps=steps,
                per_device_train_batch_size=recipe.batch_size,
                learning_rate=recipe.learning_rate,
                warmup_steps=round(recipe.warmup_share * steps),
                weight_decay=recipe.weight_decay,
                adam_beta1=recipe.adam_betas[0],
                adam_beta2=recipe.adam_betas[1],
                adam_epsilon=recipe.adam_eps,
                max_grad_norm=recipe.max_grad_norm,
                optim="adamw_torch_fused",
                lr_scheduler_type="linear",
                seed=recipe.seed,
                bf16=computes_in_bf16(pick_device(), recipe.precision),
                use_cpu=not torch.cuda.is_available(),
                group_by_length=self.order == "grouped",
                remove_unused_columns=False,
                save_strategy="no",
                logging_strategy="no",
                report_to=[],
                disable_tqdm=True,
            )
            trainer = transformers.Trainer(
                self.model,
                arguments,
                train_dataset=[{"item": i, "input_ids": ids} for i, ids in enumerate(self._longest())],
                data_collator=self._batch,
            )
            trainer.remove_callback(transformers.PrinterCallback)
            if recipe.new_weights_rate != 1.0:
                trainer.optimizer = self._optimiser(trainer)
            if self.order == "ours":
                batches = OurBatches(self.rows.lengths, recipe)
                loader: Any = torch.utils.data.DataLoader(
                    trainer.train_dataset, batch_sampler=batches, collate_fn=self._batch
                )
                trainer.get_train_dataloader = lambda: loader
            return float(trainer.train().metrics["train_runtime"])

    def scores(self, judged: Examples, metrics: Sequence[str]) -> dict[str, float]:
        """What the model comes to by the same metrics as ours, in fp32."""
        self.model.eval()
        answers: Any = Answers(self.model, self.config)
        outcome = judge(Predictor(answers, self.tokenizer, self.task, self.max_length), judged)
        return {name: float(self.task.metrics[name](outcome.truth, outcome.told)) for name in metrics}

    def _longest(self) -> Iterator[Array]:
        """The ids of each item's longest row, by which it is grouped."""
        rows: TokenRows = self.rows
        for item in range(len(rows)):
            yield max((rows.input_ids[row] for row in rows.of_items(np.array([item]))), key=len)

    def _batch(self, items: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """Items as the peer's model takes them, padded to the longest row."""
        numbers = np.array([item["item"] for item in items])
        given = self.rows.batch(
            numbers,
            pad_token_id=self.tokenizer.pad_token_id,
            token_types=isinstance(self.config, BertConfig),
        )
        if given.pop("sizes", None) is not None:  # each of as many options
            given = {name: array.reshape(len(items), -1, array.shape[1]) for name, array in given.items()}
        labels = stacked([self.targets[number] for number in numbers])
        if self.task.head is Head.QUESTION_ANSWERING:
            given |= {"start_positions": labels[:, 0], "end_positions": labels[:, 1]}
        else:
            given["labels"] = labels
        return {name: torch.from_numpy(array) for name, array in given.items()}

    def _optimiser(self, trainer: Any) -> torch.optim.Optimizer:
        """The Trainer's, with a faster rate for what the folder did not have."""
        decays = set(trainer.get_decay_parameter_names(self.model))
        groups: dict[tuple[bool, bool], list[Any]] = defaultdict(list)
        for name, parameter in self.model.named_parameters():
            groups[name in decays, name in self.new_weights].append(parameter)
        kind, settings = trainer.get_optimizer_cls_and_kwargs(trainer.args, self.model)
        optimiser: torch.optim.Optimizer = kind(
            [
                {
                    "params": parameters,
                    "weight_decay": self.recipe.weight_decay if decaying else 0.0,
                    "lr": self.recipe.learning_rate * (self.recipe.new_weights_rate if new else 1.0),
                }
                for (decaying, new), parameters in groups.items()
            ],
            **settings,
        )
        return optimiser


class Answers:
    """A peer's model, called as ours are; where it knows no token types it is given none.

    Args:
        model: the peer's.
        config: ours, of the same folder.
    """

    def __init__(self, model: Any, config: Any) -> None:
        self.model, self.config, self.device = model, config, model.device

    def __call__(self, ids: Any, mask: Any, *, token_type_ids: Any = None, return_dict: bool = True) -> Any:
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        return self.model(ids, attention_mask=mask, **types, return_dict=return_dict)


class OurBatches:
    """The batches of our own runs, epoch after epoch, as a loader asks for them.

    Args:
        lengths: of the items, in tokens.
        recipe: the size of a batch, and the seed of their order.
    """

    def __init__(self, lengths: Array, recipe: Finetuning) -> None:
        self._count = -(-len(lengths) // recipe.batch_size)
        self._endless = endless_batches(lengths, batch_size=recipe.batch_size, seed=recipe.seed)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[list[int]]:
        for _, batch in islice(self._endless, self._count):
            yield batch.tolist()
