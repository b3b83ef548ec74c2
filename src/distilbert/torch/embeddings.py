"""Tokens to the states that the first block reads."""

import torch
from torch import Tensor, nn

from distilbert.core import calls
from distilbert.core.config import EncoderConfig
from distilbert.torch.batch import Batch


class Embeddings(nn.Module):
    """Words and positions, and for a BERT token types, added and normalised."""

    def __init__(self, config: EncoderConfig, *, type_vocab_size: int = 0) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.dim, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.dim)
        if type_vocab_size:
            self.token_type_embeddings = nn.Embedding(type_vocab_size, config.dim)
        self.LayerNorm = nn.LayerNorm(config.dim, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, batch: Batch) -> Tensor:
        """The states [B, S, D] or [T, D], as the batch lies."""
        x = batch.inputs_embeds if batch.input_ids is None else self.word_embeddings(batch.input_ids)
        assert x is not None
        self._refuse_wider(x)
        position_ids = batch.position_ids
        if position_ids is None:
            position_ids = torch.arange(x.shape[-2], device=x.device)
        # Through the module, and not by its rows: what hooks modules, as offloading does, is to see the call.
        x = x + self.position_embeddings(position_ids)
        if hasattr(self, "token_type_embeddings"):
            if batch.token_type_ids is None:
                x = x + self.token_type_embeddings(position_ids.new_zeros(1))
            else:
                x = x + self.token_type_embeddings(batch.token_type_ids)
        return self.dropout(self.LayerNorm(x))

    def _refuse_wider(self, x: Tensor) -> None:
        own = self.LayerNorm.weight.dtype
        kind, wanted = (str(dtype).removeprefix("torch.") for dtype in (x.dtype, own))
        wider = torch.promote_types(x.dtype, own) != own
        calls.refuse_wider(kind, wanted, wider=wider, cast="inputs_embeds.to(model.dtype)")


def sinusoids(positions: int, width: int) -> Tensor:
    """Sines in the even columns and cosines in the odd ones (Vaswani et al. 2017, section 3.5)."""
    columns = torch.arange(width)
    exponents = 2 * (columns // 2).double() / width
    angles = torch.arange(positions).double()[:, None] / 10000**exponents
    return torch.where(columns % 2 == 0, angles.sin(), angles.cos()).float()
