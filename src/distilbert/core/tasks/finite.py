"""A model's logits before anybody reads them: numbers, or the model is broken."""

from collections.abc import Iterable

import numpy as np

from distilbert.core.data.token_rows import Array
from distilbert.errors import CheckpointError


def check_finite(logits: Iterable[Array], *, of: str) -> None:
    """
    Args:
        logits: one array each.
        of: what each belongs to, "row" or "item".

    Raises:
        CheckpointError: some are no numbers.
    """
    wrong = next((i for i, own in enumerate(logits) if not np.isfinite(own).all()), None)
    if wrong is not None:
        raise CheckpointError(
            "A model's logits must be finite.",
            received=f"others for {of} {wrong}",
            remedy="Restore the model's weights, or train it again with a lower learning rate.",
        )
