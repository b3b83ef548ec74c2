"""What a model of hidden words makes of a batch, a student or a teacher."""

from collections.abc import Mapping, Sequence

from keras import ops

from distilbert.keras.heads import MaskedLanguageModel
from distilbert.keras.modules import Tensor


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
