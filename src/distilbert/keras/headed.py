"""What every model with a head has: its encoder, and the way from a call to states and back."""

from collections.abc import Callable
from typing import Any, ClassVar

from distilbert.core.config import EncoderConfig
from distilbert.core.outputs import BaseModelOutput, ModelOutput
from distilbert.core.parameters import Head
from distilbert.keras.batch import Batch
from distilbert.keras.encoder import Encoder, restored
from distilbert.keras.modules import Policy, Tensor, keys
from distilbert.keras.pretrained import PreTrainedModel


class HeadedModel(PreTrainedModel):
    """An encoder with a head. Abstract.

    A final class says which encoder, and joins one of the heads below.
    """

    encoder_class: ClassVar[Callable[..., Encoder]]

    def _make(self, config: EncoderConfig, policy: Policy) -> None:
        inside = self.encoder_class(config, dtype=policy, _inside=True)
        setattr(self, config.model_type, inside)
        inside.share(self)
        self._make_head(config, policy)

    @property
    def encoder(self) -> Encoder:
        return getattr(self, self.config.model_type)

    def _make_head(self, config: Any, policy: Policy) -> None:
        raise NotImplementedError

    def _outputs(self, config: EncoderConfig) -> int:
        """How many numbers a head over the first token has."""
        return 1 if self.head is Head.MULTIPLE_CHOICE else config.num_labels

    def _encode(
        self,
        batch: Batch,
        head_mask: Tensor | None,
        key: Tensor | None,
        output_attentions: bool,
        output_hidden_states: bool,
    ) -> tuple[BaseModelOutput, Tensor | None]:
        """States as the batch lies, and the key that is left for the head."""
        of_encoder, of_head = keys(key, 2)
        encoded = self.encoder.encode(batch, head_mask, of_encoder, output_attentions, output_hidden_states)
        return encoded, of_head

    def _output(
        self, batch: Batch, encoded: BaseModelOutput, told: dict[str, Any], **results: Tensor
    ) -> ModelOutput:
        """The results, with their cost where all that is to be told is given."""
        return self.output_class(
            **results,
            loss=self.cost(results, batch, told) if self.labels and len(told) == len(self.labels) else None,
            hidden_states=restored(encoded.hidden_states, batch.layout),
            attentions=encoded.attentions,
        )
