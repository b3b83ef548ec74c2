"""BERT, as a teacher: DistilBERT's blocks with token types and a pooler, from published BERT folders."""

from typing import Any

import torch
from torch import Tensor, nn

from distilbert.core.config import BertConfig
from distilbert.core.parameters import Head, Parameter
from distilbert.torch.attention import Mask
from distilbert.torch.encoder import Embeddings, Transformer, chosen, head_mask_per_layer
from distilbert.torch.heads import MaskedLanguageModel, SequenceClassifier
from distilbert.torch.pretrained import PreTrainedModel


class Pooler(nn.Module):
    """A linear map and a tanh over the first token."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.dim, config.dim)

    def forward(self, first_BD: Tensor) -> Tensor:
        return torch.tanh(self.dense(first_BD))


class BertModel(PreTrainedModel):
    """The encoder without a head (Devlin et al. 2019).

    Args:
        config: its sizes.
        pooled: with the pooler, which a masked language model does not read.

    Raises:
        ConfigError: sizes that do not go together.
    """

    config_class = BertConfig

    def __init__(self, config: BertConfig, *, pooled: bool = True) -> None:
        super().__init__(config)
        self.embeddings = Embeddings(config, type_vocab_size=config.type_vocab_size)
        self.transformer = Transformer(config, attended_dropout=config.dropout)
        if pooled:
            self.pooler = Pooler(config)
        self.initialise()

    @property
    def manifest(self) -> tuple[Parameter, ...]:
        names = {name for name, _ in self.named_parameters()}
        return tuple(parameter for parameter in super().manifest if parameter.key in names)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        token_type_ids: Tensor | None = None,
    ) -> Any:
        """
        Args:
            token_type_ids: [B, S], 0 for the first text and 1 for the second; None means all 0.

        The other arguments, and what comes back, are ``DistilBertModel``'s.
        """
        x_BSD = self.embeddings(input_ids, inputs_embeds, token_type_ids)
        output = self.transformer(
            x_BSD,
            Mask.of(attention_mask, x_BSD),
            head_mask_LN=head_mask_per_layer(head_mask, self.config),
            output_attentions=chosen(output_attentions, self.config.output_attentions),
            output_hidden_states=chosen(output_hidden_states, self.config.output_hidden_states),
        )
        return output if chosen(return_dict, self.config.return_dict) else output.to_tuple()


class BertForMaskedLM(MaskedLanguageModel):
    """BERT with its masked-language-model head, tied to the word embeddings."""

    config_class = BertConfig

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config, pooled=False)
        self._build_head(config)

    @property
    def encoder(self) -> BertModel:
        return self.bert


class BertForSequenceClassification(SequenceClassifier):
    """BERT with a classifier over its pooler."""

    config_class = BertConfig
    head = Head.SEQUENCE_CLASSIFICATION

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config)
        rate = config.dropout if config.classifier_dropout is None else config.classifier_dropout
        self.dropout = nn.Dropout(rate)
        self.classifier = nn.Linear(config.dim, config.num_labels)
        self.initialise()

    @property
    def encoder(self) -> BertModel:
        return self.bert

    def class_logits(self, first_BD: Tensor) -> Tensor:
        return self.classifier(self.dropout(self.bert.pooler(first_BD)))
