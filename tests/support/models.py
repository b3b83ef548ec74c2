"""Random models, with weights large enough that a wrong formula shows."""

import numpy as np
import torch

from distilbert.core.config import BertConfig, DistilBertConfig, EncoderConfig

#: Configurations that differ in everything a formula could forget.
CONFIGS = {
    "usual": DistilBertConfig(
        vocab_size=60, max_position_embeddings=24, n_layers=2, n_heads=4, dim=32, hidden_dim=64
    ),
    "one head": DistilBertConfig(
        vocab_size=41, max_position_embeddings=20, n_layers=1, n_heads=1, dim=10, hidden_dim=17
    ),
    "odd width": DistilBertConfig(
        vocab_size=33, max_position_embeddings=16, n_layers=3, n_heads=3, dim=21, hidden_dim=50,
        activation="relu",
    ),
    "sinusoidal": DistilBertConfig(
        vocab_size=60, max_position_embeddings=24, n_layers=2, n_heads=2, dim=32, hidden_dim=64,
        sinusoidal_pos_embds=True,
    ),
    "untied": DistilBertConfig(
        vocab_size=60, max_position_embeddings=24, n_layers=2, n_heads=2, dim=32, hidden_dim=64,
        tie_word_embeddings=False,
    ),
}  # fmt: skip

TEACHER = BertConfig(
    vocab_size=60,
    max_position_embeddings=24,
    num_hidden_layers=4,
    num_attention_heads=4,
    hidden_size=32,
    intermediate_size=64,
)


def scatter(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Give a model weights of the size that makes every part matter, LayerNorms and biases too.

    At the usual 0.02 a wrong activation or a missing bias hides below any tolerance.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float32)
            if "norm" in name.lower() and name.endswith("weight"):
                parameter.copy_(1 + 0.3 * noise)
            elif parameter.dim() == 1:
                parameter.copy_(0.3 * noise)
            else:
                parameter.copy_(noise / parameter.shape[-1] ** 0.5)
    return model.eval()


def batch(config: EncoderConfig, *, rows: int = 4, length: int = 12, seed: int = 0, side: str = "right"):
    """Random ids and a ragged mask: one full row, one of a single token, one of none where rows allow."""
    rng = np.random.default_rng(seed)
    length = min(length, config.max_position_embeddings)
    input_ids = torch.from_numpy(rng.integers(0, config.vocab_size, (rows, length)))
    mask = torch.zeros(rows, length, dtype=torch.long)
    lengths = [length, 1, 0, *rng.integers(1, length + 1, rows)][:rows]
    for i, count in enumerate(lengths):
        if side == "right":
            mask[i, :count] = 1
        elif count:
            mask[i, -count:] = 1
    return input_ids, mask
