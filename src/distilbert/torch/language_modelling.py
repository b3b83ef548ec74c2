"""Learning to tell hidden words, alone or from a teacher: the objective of pretraining and distillation."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distilbert.core.config import IGNORED_LABEL
from distilbert.core.data.collate import attention_mask, endless_batches, pad
from distilbert.core.data.corpus import Corpus
from distilbert.core.data.masking import Masking, sequence_rng, smoothed_weights
from distilbert.core.recipe import LanguageModelling
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.torch.heads import MaskedLanguageModel
from distilbert.torch.losses import cosine_sum, cross_entropy_sum, distribution_sum
from distilbert.torch.train import MicroBatch

Ids = np.ndarray[Any, np.dtype[np.int32]]


class MaskedWords:
    """The objective: hidden words, and with a teacher its distribution over them and its last states.

    The triple loss of Sanh et al. 2019, section 2. Only the tokens that a term scores pass through the
    vocabulary-sized head, which otherwise costs more than the student itself.

    Args:
        model: learns.
        teacher: is listened to, or None.
        data: the sequences.
        tokenizer: says which ids are special.
        recipe: weights, temperature, masking, and where the teacher is listened to.
    """

    def __init__(
        self,
        model: MaskedLanguageModel,
        teacher: MaskedLanguageModel | None,
        data: Corpus,
        tokenizer: DistilBertTokenizerFast,
        recipe: LanguageModelling,
    ) -> None:
        self.model, self.data, self.recipe = model, data, recipe
        self.special_ids = tuple(tokenizer.all_special_ids)
        self.pad_token_id = tokenizer.pad_token_id
        self.everywhere = recipe.positions == "all"
        self.weights = {"masked_lm": 1.0, "distribution": 0.0, "cosine": 0.0}
        if teacher is not None:
            teacher.eval()
            self.weights = {
                "masked_lm": recipe.masked_lm_weight,
                "distribution": recipe.distribution_weight,
                "cosine": recipe.cosine_weight,
            }
        taught = self.weights["distribution"] or self.weights["cosine"]
        self.teacher = teacher if taught else None
        vocab_size = model.config.vocab_size
        chances = (
            smoothed_weights(data.counts(vocab_size), power=recipe.smoothing) if recipe.smoothing else None
        )
        self.masking = Masking(
            vocab_size=vocab_size,
            mask_token_id=tokenizer.mask_token_id,
            special_ids=self.special_ids,
            rate=recipe.mask_rate,
            mask_share=recipe.mask_share,
            keep_share=recipe.keep_share,
            weights=chances,
        )

    def steps(self) -> Iterator[Sequence[MicroBatch]]:
        size = self.recipe.micro_batch_size
        batches = endless_batches(self.data.lengths, batch_size=self.recipe.batch_size, seed=self.recipe.seed)
        for epoch, rows in batches:
            yield [self.micro_batch(rows[i : i + size], epoch) for i in range(0, len(rows), size)]

    def micro_batch(self, rows: "np.ndarray[Any, np.dtype[np.int64]]", epoch: int) -> MicroBatch:
        """Some sequences with their words hidden as this epoch hides them."""
        hidden, labels = [], []
        for row in rows:
            pair = self.masking(self.data[row], sequence_rng(self.recipe.seed, epoch, int(row)))
            hidden.append(pair[0])
            labels.append(pair[1])
        live = attention_mask(hidden)
        labels_T = pad(labels, value=IGNORED_LABEL).ravel()
        scored = np.flatnonzero(labels_T != IGNORED_LABEL)
        heard = live.ravel().astype(bool)
        if not self.everywhere:
            # No word is ever told of [CLS] and [SEP], so a teacher's opinion of them means nothing.
            true_ids = pad([self.data[row] for row in rows], value=self.pad_token_id)
            heard &= ~np.isin(true_ids.ravel(), self.special_ids)
        listened = np.flatnonzero(heard)
        compared = listened if self.everywhere and self.weights["distribution"] else scored
        tensors = {
            "input_ids": pad(hidden, value=self.pad_token_id),
            "attention_mask": live,
            "listened": listened,
            "compared": compared,
            "scored": np.searchsorted(compared, scored),
            "labels": labels_T[scored],
        }
        device = self.model.device
        return MicroBatch(
            {name: torch.from_numpy(array).to(device) for name, array in tensors.items()},
            {"masked_lm": len(scored), "distribution": len(compared), "cosine": len(listened)},
        )

    def loss_sums(self, batch: MicroBatch) -> dict[str, Tensor]:
        given, weights = batch.tensors, self.weights
        sums: dict[str, Tensor] = {}
        hidden_TD = _states(self.model, given)
        logits_TV = self.model.token_logits(hidden_TD[given["compared"]])
        if weights["masked_lm"]:
            sums["masked_lm"] = cross_entropy_sum(logits_TV[given["scored"]], given["labels"])
        if self.teacher is None:
            return sums
        with torch.no_grad():
            teacher_TD = _states(self.teacher, given)
        if weights["distribution"]:
            with torch.no_grad():
                teacher_TV = self.teacher.token_logits(teacher_TD[given["compared"]])
            temperature = self.recipe.temperature
            sums["distribution"] = distribution_sum(logits_TV, teacher_TV, temperature=temperature)
        if weights["cosine"]:
            heard = given["listened"]
            sums["cosine"] = cosine_sum(hidden_TD[heard], teacher_TD[heard])
        return sums


def _states(model: MaskedLanguageModel, given: dict[str, Tensor]) -> Tensor:
    """The last hidden states of every position of a batch, [B * S, D]."""
    output = model.encoder(given["input_ids"], given["attention_mask"], return_dict=True)
    return output.last_hidden_state.flatten(0, 1)
