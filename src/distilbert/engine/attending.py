"""What a model attends to, for a person who looks: a text's tokens, and how much each heeds each other one.

Runtimes fuse attention and keep nothing of it. So it is computed here once more, in numpy and fp32, up to the
layer that is asked for.
"""

from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from distilbert.core import reference, rules
from distilbert.core.checkpoint import read_weights
from distilbert.core.parameters import Head, as_attributes, parameters_of, split_base
from distilbert.engine.pipelines.abstract import Pipeline, a_text

#: Tokens of a text, at most: more than anybody can look at.
MOST_TOKENS = 128

#: Abramowitz and Stegun 1964, 7.1.26: within 1.5e-7 of the error function.
_ERF_AT = 0.3275911
_ERF = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)


@dataclass(frozen=True)
class Attended:
    """
    Attributes:
        tokens: as the vocabulary spells them.
        dropped: tokens that were too many.
        layers: that the model has.
        weights: [N, S, S]: of each head, for each token, how much of its attention goes to each.
    """

    tokens: tuple[str, ...]
    dropped: int
    layers: int
    weights: "np.ndarray[Any, np.dtype[np.float32]]"


def attended(pipeline: Pipeline, text: str, *, layer: int) -> Attended:
    """What a text's tokens attend to in a layer.

    Args:
        pipeline: of the model.
        text: whose beginning is read where it is long.
        layer: from 0 on.

    Raises:
        CheckpointError: the folder's weights are damaged.
        ConfigError: the model has no such layer.
        DataError: it is no text.
    """
    config = pipeline.config
    rules.integer(0, config.n_layers - 1)("layer", layer)
    length = min(MOST_TOKENS, pipeline.max_length)
    rows = pipeline.reader.rows([a_text(text)], max_length=length)
    ids = np.asarray(rows.input_ids[0])[None]
    parameters = parameters_of(Head.NONE, config)
    arrays, _ = read_weights(pipeline.folder, parameters, config)
    weights = as_attributes(
        {key: np.asarray(array, np.float32) for key, array in split_base(arrays, config).items()}
    )
    activation = {**reference.ACTIVATIONS, "gelu": _gelu}[config.activation]
    states = reference.embedded(config, weights, ids)
    live = np.ones(ids.shape, bool)
    given = reference.layers(config, weights, states, live, activation)
    _, attention = next(islice(given, layer, None))
    tokens = pipeline.tokenizer.convert_ids_to_tokens(ids[0].tolist())
    return Attended(tuple(tokens), int(rows.dropped[0]), config.n_layers, attention[0])


def _gelu(x: Any) -> Any:
    """As the reference's, whose error function takes its numbers one by one."""
    away = np.abs(x) / np.sqrt(2.0).astype(x.dtype)
    t = 1 / (1 + _ERF_AT * away)
    series = np.zeros_like(t)
    for factor in _ERF:
        series = (series + factor) * t
    return 0.5 * x * (1 + np.sign(x) * (1 - series * np.exp(-(away**2))))
