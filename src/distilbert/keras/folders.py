"""Models out of their folders, to be trained or asked."""

from collections.abc import Collection
from pathlib import Path

from distilbert.core.checkpoint import refuse_hollow
from distilbert.core.weight_files import Weights
from distilbert.keras.pretrained import PreTrainedModel


def fill(model: PreTrainedModel, folder: str | Path, *, skip: Collection[str] = ()) -> tuple[str, ...]:
    """Give a hollow model a folder's weights; the keys of those that are drawn anew, by the model's seed.

    Args:
        model: made with ``_do_init=False``.
        folder: with the weights.
        skip: keys of parameters that are drawn anew in any case.
    """
    with Weights(folder) as file:
        report = model._fill(file, str(folder), skip=skip)
        refuse_hollow(report, model.manifest, file.shapes, str(folder))
    missing = (*report.missing, *skip)
    model._draw(set(missing))
    return missing
