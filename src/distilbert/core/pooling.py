"""From hidden states to one vector a text, in numpy: what a sentence-embedding folder says to compute."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from distilbert.core import reference
from distilbert.errors import ConfigError

#: A text's live tokens into a vector [B, D], by the published names, in the order in which they are joined.
POOLINGS: dict[str, Callable[[Any, Any], Any]] = {
    "cls": lambda x_BSD, live_BS: _at(x_BSD, live_BS.argmax(axis=1)),
    "max": lambda x_BSD, live_BS: np.where(live_BS[..., None], x_BSD, -np.inf).max(axis=1),
    "mean": lambda x_BSD, live_BS: _sum(x_BSD, live_BS) / _atleast(live_BS.sum(axis=1)),
    "mean_sqrt_len_tokens": lambda x_BSD, live_BS: (
        _sum(x_BSD, live_BS) / np.sqrt(_atleast(live_BS.sum(axis=1)))
    ),
    "weightedmean": lambda x_BSD, live_BS: (
        _sum(x_BSD, _places(live_BS)) / _atleast(_places(live_BS).sum(axis=1))
    ),
    "lasttoken": lambda x_BSD, live_BS: _at(x_BSD, live_BS.shape[1] - 1 - live_BS[:, ::-1].argmax(axis=1)),
}

#: Activations of a dense module, by the last part of the names that files give them.
ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "Identity": lambda x: x,
    "Tanh": np.tanh,
    "ReLU": lambda x: np.maximum(x, 0),
    "GELU": reference.gelu,
    "SiLU": lambda x: x * reference.sigmoid(x),
    "Sigmoid": reference.sigmoid,
}


@dataclass(frozen=True)
class Pooling:
    """Hidden states of a text's tokens into one vector; those of several poolings stand side by side.

    Attributes:
        modes: names in ``POOLINGS``.
        include_prompt: False leaves the tokens of an instruction before the text out.

    Raises:
        ConfigError: no such pooling.
    """

    modes: tuple[str, ...] = ("mean",)
    include_prompt: bool = True

    def __post_init__(self) -> None:
        if not self.modes or any(mode not in POOLINGS for mode in self.modes):
            raise ConfigError(
                f"A pooling is one or more of {', '.join(POOLINGS)}.",
                received=", ".join(map(str, self.modes)) or "none",
                remedy="Choose mean unless the model was trained with another.",
            )

    def __call__(self, hidden_BSD: Any, live_BS: Any) -> Any:
        hidden_BSD = np.asarray(hidden_BSD, dtype=np.result_type(hidden_BSD, np.float32))
        return np.concatenate([POOLINGS[mode](hidden_BSD, live_BS) for mode in self.modes], axis=1)


@dataclass(frozen=True, eq=False)
class Dense:
    """A linear layer on the vectors.

    Attributes:
        weight: [out, in].
        bias: [out], or None.
        activation: a name in ``ACTIVATIONS``.

    Raises:
        ConfigError: no such activation, or shapes that do not go together.
    """

    weight: Any
    bias: Any = None
    activation: str = "Tanh"

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ConfigError(
                f"A dense module's activation is one of {', '.join(ACTIVATIONS)}.",
                received=str(self.activation),
                remedy="Choose Identity where there is none.",
            )
        if self.weight.ndim != 2 or (self.bias is not None and self.bias.shape != self.weight.shape[:1]):
            raise ConfigError(
                "A dense module has a weight [out, in], and a bias [out] or none.",
                received=f"{self.weight.shape} and {None if self.bias is None else self.bias.shape}",
                remedy="Save the model again.",
            )

    def __call__(self, x_BD: Any) -> Any:
        y_BE = x_BD @ self.weight.T.astype(x_BD.dtype)
        return ACTIVATIONS[self.activation](
            y_BE if self.bias is None else y_BE + self.bias.astype(x_BD.dtype)
        )


@dataclass(frozen=True)
class Normalize:
    """Each vector to length one; one of zeros stays."""

    def __call__(self, x_BD: Any) -> Any:
        return x_BD / np.maximum(np.linalg.norm(x_BD, axis=1, keepdims=True), 1e-12)


def embed(
    hidden_BSD: Any, attention_mask_BS: Any, pooling: Pooling, after: Sequence[Dense | Normalize] = ()
) -> Any:
    """The texts' vectors [B, E].

    Args:
        hidden_BSD: the encoder's last hidden states.
        attention_mask_BS: 1 for live tokens and 0 for padding.
        pooling: of each text's live tokens.
        after: what then happens to the vectors, in order.
    """
    x_BD = pooling(hidden_BSD, np.asarray(attention_mask_BS) != 0)
    for module in after:
        x_BD = module(x_BD)
    return x_BD


def _at(x_BSD: Any, places_B: Any) -> Any:
    return x_BSD[np.arange(len(x_BSD)), places_B]


def _places(live_BS: Any) -> Any:
    """1 for the first place, 2 for the next, 0 for padding: later tokens count for more."""
    return live_BS * np.arange(1, live_BS.shape[1] + 1)


def _sum(x_BSD: Any, weights_BS: Any) -> Any:
    return np.einsum("bsd,bs->bd", x_BSD, weights_BS.astype(x_BSD.dtype))


def _atleast(sums_B: Any) -> Any:
    """Never zero, as a column."""
    return np.maximum(sums_B, 1e-9)[:, None].astype(np.float32)
