"""A teacher of hidden words, and what it says of a batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras import ops

from distilbert.core.copies import fingerprint
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.keras.heads import MaskedLanguageModel
from distilbert.keras.modules import Tensor


@dataclass(frozen=True, eq=False)
class Teacher:
    """One who is listened to.

    Attributes:
        model: tells hidden words.
        weight: how much it is listened to beside the others.
        name: what a sentence calls it.
        tokenizer: its own.
        reading: None: it reads the student's tokens.
    """

    model: MaskedLanguageModel
    weight: float = 1.0
    name: str = "The teacher"
    tokenizer: DistilBertTokenizerFast | None = None
    reading: None = None

    @property
    def width(self) -> int:
        """D of its states."""
        return int(self.model.config.dim)

    @property
    def longest(self) -> int:
        """Tokens of the longest row that it reads."""
        return int(self.model.config.max_position_embeddings)

    def facts(self) -> dict[str, Any]:
        """What ``distilbert.json`` says of it."""
        config = self.model.config
        said = {"model_type": config.model_type, "n_layers": config.n_layers}
        return {**said, "weights": fingerprint(self.model.arrays())}


def states_of(
    model: MaskedLanguageModel,
    given: Mapping[str, Tensor],
    key: Tensor | None = None,
    *,
    layers: bool = False,
) -> Sequence[Tensor]:
    """The hidden states of a batch, row after row, [B * S, D]: of all layers, or the last ones alone."""
    inputs = {name: given[name] for name in ("input_ids", "attention_mask")}
    encoded = model.encoder.encode(model._batch(inputs), None, key, False, layers)
    states = encoded.hidden_states if layers else (encoded.last_hidden_state,)
    assert states is not None
    return [ops.reshape(x, (-1, model.config.dim)) for x in states]
