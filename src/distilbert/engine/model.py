"""What an engine computes: a folder's encoder with its head, before any runtime has it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from distilbert.core.checkpoint import read_weights
from distilbert.core.config import BertConfig, EncoderConfig
from distilbert.core.parameters import Head, parameters_of
from distilbert.core.pooling import Pooling
from distilbert.core.tasks.folders import TaskFolder
from distilbert.core.tasks.sentence_embedding import SentenceEmbedding
from distilbert.engine.graph import build
from distilbert.engine.onnx_file import Graph


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
        """The model of a fine-tuned folder."""
        pooling = opened.task.modules.pooling if isinstance(opened.task, SentenceEmbedding) else None
        return cls(opened.weights, opened.config, opened.task.head, pooling)

    @property
    def reads_types(self) -> bool:
        """Whether it is told which text of a pair each token is of."""
        return isinstance(self.config, BertConfig)

    @property
    def answers_tokens(self) -> bool:
        """Whether what it gives has an axis of tokens."""
        return not self.head.reads_one_token and self.pooling is None

    def graph(self, form: str, *, choices: bool = False) -> Graph:
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
