"""How much arithmetic a training step needs, and how much its device could have done in the same time.

The share of the one in the other is the model-FLOPs utilisation of Chowdhery et al. 2022 (PaLM, appendix B).
What is counted is what the losses need: products of matrices, of live tokens, forward and, twice that,
backward. Padding, and what is computed again to save memory, count as time and not as work; embeddings,
norms, activations and softmaxes are small and left out, as there.
"""

import re
from collections.abc import Sequence

from distilbert.core.config import EncoderConfig

#: Of a forward pass, what forward and backward together are.
LEARNING = 3.0

#: Products of bfloat16 numbers a second at a device's peak, added up in float32, without sparsity, as its
#: data sheet has it; by what the driver calls it. The first that fits is meant.
PEAKS: tuple[tuple[str, float], ...] = (
    (r"\bB200\b", 2250e12),
    (r"\bGH200\b", 990e12),
    (r"\bH200 NVL\b", 835e12),
    (r"\bH200\b", 989e12),
    (r"\bH100 NVL\b", 835e12),
    (r"\bH100 PCIe\b", 756e12),
    (r"\bH100\b", 989e12),
    (r"\bA100\b", 312e12),
    (r"\bA40\b", 149.7e12),
    (r"\bA30\b", 165e12),
    (r"\bA10\b", 125e12),
    (r"\bL40S\b", 362e12),
    (r"\bL40\b", 181e12),
    (r"\bL4\b", 121e12),
)


def peak(device: str) -> float | None:
    """A device's peak in bfloat16, in FLOP/s; None where it is not in the table.

    Args:
        device: its name, such as "NVIDIA H100 80GB HBM3".
    """
    return next((flops for name, flops in PEAKS if re.search(name, device)), None)


def of_blocks(config: EncoderConfig, lengths: Sequence[int], *, first_only: bool = False) -> float:
    """Of a forward pass through an encoder's blocks.

    Args:
        config: its sizes.
        lengths: of the texts, in tokens.
        first_only: the last block answers for each text's first token alone.
    """
    dim, tokens = config.dim, sum(lengths)
    squares = sum(length * length for length in lengths)
    # Queries and outputs, and a feed-forward's two products, are of tokens that are answered for; keys
    # and values of all.
    answered = 4 * dim * dim + 4 * dim * config.hidden_dim
    whole = (4 * dim * dim + answered) * tokens + 4 * dim * squares
    if not first_only:
        return float(config.n_layers * whole)
    last = 4 * dim * dim * tokens + answered * len(lengths) + 4 * dim * tokens
    return float((config.n_layers - 1) * whole + last)


def of_words(config: EncoderConfig, tokens: int) -> float:
    """Of a forward pass of so many tokens through a masked-language-model head."""
    return 2.0 * tokens * (config.dim * config.dim + config.dim * config.vocab_size)
