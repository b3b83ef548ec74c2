"""What every model with a head has: its encoder, and the way from a call to states and back."""

from collections.abc import Callable
from typing import Any, ClassVar

from distilbert.core.config import EncoderConfig
from distilbert.core.outputs import BaseModelOutput, ModelOutput
from distilbert.core.parameters import Head
from distilbert.jax.batch import Batch
from distilbert.jax.encoder import Encoder, restored
from distilbert.jax.modules import Array, Kinds, keys
from distilbert.jax.pretrained import PreTrainedModel


class HeadedModel(PreTrainedModel):
    """An encoder with a head. Abstract.

    A final class says which encoder, and joins one of the heads below.
    """

    encoder_class: ClassVar[Callable[..., Encoder]]

    def _build(self, config: EncoderConfig, kinds: Kinds) -> None:
        inside = self.encoder_class(
            self.config, dtype=kinds.dtype, param_dtype=kinds.param_dtype, _do_init=False
        )
        setattr(self, config.model_type, inside)
        inside.share(self)
        self._build_head(config, kinds)

    @property
    def encoder(self) -> Encoder:
        return getattr(self, self.config.model_type)

    def _build_head(self, config: Any, kinds: Kinds) -> None:
        raise NotImplementedError

    def _outputs(self, config: EncoderConfig) -> int:
        """How many numbers a head over the first token has."""
        return 1 if self.head is Head.MULTIPLE_CHOICE else config.num_labels

    def _encode(
        self,
        batch: Batch,
        head_mask: Array | None,
        key: Array | None,
        output_attentions: bool,
        output_hidden_states: bool,
    ) -> tuple[BaseModelOutput, Array | None]:
        """States as the batch lies, and the key that is left for the head."""
        of_encoder, of_head = keys(key, 2)
        encoded = self.encoder.encode(batch, head_mask, of_encoder, output_attentions, output_hidden_states)
        return encoded, of_head

    def _output(
        self, kind: type[ModelOutput], batch: Batch, encoded: BaseModelOutput, **results: Array | None
    ) -> ModelOutput:
        return kind(
            **results,
            hidden_states=restored(encoded.hidden_states, batch.layout),
            attentions=encoded.attentions,
        )
