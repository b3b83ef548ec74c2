"""What an engine computes: a folder's encoder with its head, before any runtime has it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from distilbert.core.checkpoint import read_weights
from distilbert.core.config import BertConfig, EncoderConfig
from distilbert.core.data.collate import attention_mask, pad
from distilbert.core.parameters import Head, parameters_of
from distilbert.core.pooling import Pooling
from distilbert.core.tasks.folders import TaskFolder
from distilbert.core.tasks.sentence_embedding import SentenceEmbedding
from distilbert.engine.graph import Form, build
from distilbert.engine.onnx_file import Array, Graph
from distilbert.engine.waiting import Row


@dataclass(frozen=True)
class Model:
    """
    Attributes:
        folder: holds the weights.
        config: the sizes.
        head: what stands on the encoder.
        pooling: what makes one vector of a text's states, where there is no head; None gives the states.
        asked: whether it is told, for each row, which tokens to guess, and computes no others to the end.
    """

    folder: Path
    config: EncoderConfig
    head: Head
    pooling: Pooling | None = None
    asked: bool = False

    @classmethod
    def of(cls, opened: TaskFolder) -> Self:
        """The model of a fine-tuned folder, or of a language model's."""
        pooling = opened.task.modules.pooling if isinstance(opened.task, SentenceEmbedding) else None
        head: Head = opened.task.head
        return cls(opened.weights, opened.config, head, pooling, asked=head is Head.MASKED_LM)

    @property
    def reads_types(self) -> bool:
        """Whether it is told which text of a pair each token is of."""
        return isinstance(self.config, BertConfig)

    @property
    def answers_tokens(self) -> bool:
        """Whether what it gives has an axis of tokens."""
        return not self.head.reads_one_token and self.pooling is None

    def feed(self, rows: Sequence[Row], *, pad_token_id: int) -> dict[str, Array]:
        """Rows as one batch that its graph is given, padded to the longest."""
        ids = [row.ids for row in rows]
        feed = {"input_ids": pad(ids, value=pad_token_id), "attention_mask": attention_mask(ids)}
        if self.reads_types:
            columns = np.arange(feed["input_ids"].shape[1])
            begins = np.array([row.second or len(columns) for row in rows])
            types = (columns >= begins[:, None]) & (feed["attention_mask"] > 0)
            feed["token_type_ids"] = types.astype(np.int64)
        if self.asked:
            feed["asked"] = pad([row.asked for row in rows if row.asked is not None], value=0)
        return feed

    def graph(self, form: str | Form, *, choices: bool = False) -> Graph:
        """The model as a graph, with its weights; the arguments are those of ``build``.

        Raises:
            CheckpointError: the folder's weights are damaged.
        """
        arrays, _ = read_weights(self.folder, parameters_of(self.head, self.config), self.config)
        return build(
            self.config,
            arrays,
            self.head,
            pooling=self.pooling,
            form=form,
            choices=choices,
            asked=self.asked,
        )
