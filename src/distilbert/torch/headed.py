"""What every model with a head has: its encoder, and the way from a call to states and back."""

from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor, nn

from distilbert.core import true_answers
from distilbert.core.config import IGNORED_LABEL, EncoderConfig
from distilbert.core.data.packing import PackedBatch
from distilbert.core.outputs import BaseModelOutput, ModelOutput
from distilbert.core.parameters import Head
from distilbert.torch.batch import Batch, refuse_others
from distilbert.torch.encoder import Encoder, chosen, restored
from distilbert.torch.layout import Packed
from distilbert.torch.losses import whole_numbers
from distilbert.torch.pretrained import PreTrainedModel
from distilbert.torch.recording import sizes


class HeadedModel(PreTrainedModel):
    """An encoder with a head. Abstract.

    A final class says which encoder, and joins one of the heads below.
    """

    encoder_class: ClassVar[Callable[..., Encoder]]

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        setattr(self, config.model_type, self.encoder_class(config))
        self.encoder.config = self.config
        self._build_head(config)
        self.tie_weights()
        self.initialise()

    @property
    def encoder(self) -> Encoder:
        return getattr(self, self.config.model_type)

    def set_input_embeddings(self, value: nn.Embedding) -> None:  # published under another name here
        super().set_input_embeddings(value)

    def _build_head(self, config: Any) -> None:
        raise NotImplementedError

    def _outputs(self, config: EncoderConfig) -> int:
        """How many numbers a head over the first token has."""
        return 1 if self.head is Head.MULTIPLE_CHOICE else config.num_labels

    def _encode(
        self,
        input_ids: Any,
        attention_mask: Tensor | None,
        head_mask: Tensor | None,
        inputs_embeds: Tensor | None,
        position_ids: Tensor | None,
        token_type_ids: Tensor | None,
        output_attentions: bool | None,
        output_hidden_states: bool | None,
    ) -> tuple[Batch, BaseModelOutput]:
        """The batch as it lies, and its states; of first tokens only, where the head reads no others."""
        refuse_others(head_mask=head_mask)
        attentions = chosen(output_attentions, self.config.output_attentions)
        hidden_states = chosen(output_hidden_states, self.config.output_hidden_states)
        batch = self.encoder.batch(
            input_ids,
            attention_mask,
            inputs_embeds,
            position_ids,
            token_type_ids,
            output_attentions=attentions,
            output_hidden_states=hidden_states,
            first_only=self.head.reads_one_token and not (attentions or hidden_states),
        )
        encoded = self.encoder(
            batch,
            head_mask=head_mask,
            output_attentions=attentions,
            output_hidden_states=hidden_states,
            return_dict=True,
        )
        return batch, encoded

    def _output(
        self,
        kind: type[ModelOutput],
        batch: Batch,
        encoded: BaseModelOutput,
        return_dict: bool | None,
        **results: Tensor | None,
    ) -> Any:
        output = kind(
            **results,
            hidden_states=restored(encoded.hidden_states, batch.layout),
            attentions=encoded.attentions,
        )
        return output if chosen(return_dict, self.config.use_return_dict) else output.to_tuple()


def labels_of(batch: Batch, labels: Tensor, input_ids: Any) -> Tensor:
    """The labels of a batch's tokens, as they lie; padding has none.

    Raises:
        DataError: they have another shape than the batch.
    """
    refuse_others(labels=labels)
    layout = batch.layout
    if isinstance(layout, Packed):
        shape = layout.shape
    else:
        tokens = batch.input_ids if batch.input_ids is not None else batch.inputs_embeds
        assert tokens is not None
        shape = sizes(tokens)[:2]
    packed = isinstance(input_ids, PackedBatch)
    what = "[T], text after text, as a packed batch lies" if packed else "[B, S]"
    true_answers.refuse_token_labels(sizes(labels), shape, what=what)
    return layout.take(whole_numbers(labels, "labels"), IGNORED_LABEL)
