"""What a model of hidden words makes of a batch, a student or a teacher."""

from collections.abc import Mapping, Sequence

from distilbert.jax.heads import MaskedLanguageModel
from distilbert.jax.modules import Array


def states_of(
    model: MaskedLanguageModel, given: Mapping[str, Array], key: Array | None = None, *, layers: bool = False
) -> Sequence[Array]:
    """The hidden states of a batch, row after row, [B * S, D]: of all layers, or the last ones alone."""
    output = model.encoder(
        given["input_ids"],
        given["attention_mask"],
        train=key is not None,
        dropout_rng=key,
        output_hidden_states=layers,
        return_dict=True,
    )
    states = output.hidden_states if layers else (output.last_hidden_state,)
    return [x.reshape(-1, x.shape[-1]) for x in states]
