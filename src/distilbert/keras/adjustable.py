"""What can be changed of a model once it is built: heads, attention, memory for time."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from distilbert.core import rules
from distilbert.errors import ConfigError
from distilbert.keras.published import Published

if TYPE_CHECKING:
    from distilbert.keras.encoder import Encoder


class Adjustable(Published):
    """The part of every model class that changes what is there. Abstract."""

    @property
    def encoder(self) -> "Encoder":
        """The base model: of a model with a head, what the head stands on."""
        raise NotImplementedError

    def get_input_embeddings(self) -> Any:
        """The table of words, a ``keras.layers.Embedding``."""
        return self.encoder.embeddings.word_embeddings

    def get_output_embeddings(self) -> Any:
        """The projection onto the vocabulary, where the model has one."""
        return None

    def get_position_embeddings(self) -> Any:
        """The table of positions, a ``keras.layers.Embedding``."""
        return self.encoder.embeddings.position_embeddings

    def prune_heads(self, heads_to_prune: Mapping[int, Sequence[int]]) -> None:
        """Take heads out for good; ``config.pruned_heads`` keeps which, across saving and loading.

        A model that was compiled is to be compiled again: its optimiser holds what there was before.

        Args:
            heads_to_prune: numbers of heads of the unpruned model, by layer; -1 is the last layer.

        Raises:
            ConfigError: a head or layer that is not there, or all heads of a layer; or a quantised model.
        """
        if any(getattr(layer, "quantization_mode", None) for layer in self._flatten_layers()):
            raise ConfigError(
                "Heads are taken out of weights that are whole.",
                received="a model that was quantised",
                remedy="Prune first, and then quantise.",
            )
        before = self.config.pruned_heads
        pruned = rules.heads_pruned(before, heads_to_prune, layers=self.config.n_layers)
        self.config.pruned_heads = pruned
        try:
            self.config.check()
        except ValueError:
            self.config.pruned_heads = before
            raise
        self.encoder._prune()
        self._forget_graphs()

    def set_attention(self, implementation: str) -> None:
        """Choose the attention anew: "eager" or "dot_product_attention".

        Raises:
            ConfigError: there is no such implementation.
        """
        self.encoder._set_attention(implementation)
        self._forget_graphs()

    def set_attn_implementation(self, attn_implementation: str) -> None:
        """``set_attention``, under the peer's name."""
        self.set_attention(attn_implementation)

    def gradient_checkpointing_enable(self) -> None:
        """Keep no activations within blocks, and compute them again in backward."""
        self.encoder.transformer.recompute = True
        self._forget_graphs()

    def gradient_checkpointing_disable(self) -> None:
        """Keep activations again."""
        self.encoder.transformer.recompute = False
        self._forget_graphs()

    @property
    def is_gradient_checkpointing(self) -> bool:
        return self.encoder.transformer.recompute

    def _forget_graphs(self) -> None:
        """Let ``fit``, ``evaluate`` and ``predict`` make their graphs anew, of what the model has become."""
        self.train_function = self.test_function = self.predict_function = None
