"""How long the rows of a call are to be: cutting and padding, from the published arguments."""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from distilbert.core import rules
from distilbert.core.text.windows import STRATEGIES
from distilbert.errors import ConfigError

logger = logging.getLogger(__name__)

#: A number of tokens, as great as peers write it for "any number".
_length = rules.optional(rules.integer(1, inf))

#: To what rows are padded.
PADDINGS = ("do_not_pad", "longest", "max_length")

#: Greater "longest inputs" than any text has mean that there is none (peers write 1e30).
UNLIMITED = 10**9


@dataclass(frozen=True)
class Cutting:
    """
    Attributes:
        strategy: one of ``STRATEGIES``.
        max_length: tokens of a row, special ones included; None for any number.
        stride: tokens that neighbouring windows share.
        side: where tokens are dropped.
    """

    strategy: str
    max_length: int | None
    stride: int
    side: str


@dataclass(frozen=True)
class Padding:
    """
    Attributes:
        strategy: one of ``PADDINGS``.
        max_length: of "max_length".
        multiple: rows are as long as some multiple of it; None for any length.
        side: where padding is put.
    """

    strategy: str
    max_length: int | None
    multiple: int | None
    side: str

    def width(self, longest: int) -> int | None:
        """What shorter rows are padded to, the longest being of ``longest`` tokens; None for no padding."""
        if self.strategy == "do_not_pad":
            return None
        width = longest if self.strategy == "longest" else self.max_length or 0
        return width if not self.multiple else -(-width // self.multiple) * self.multiple


def cutting(
    truncation: Any, *, max_length: int | None, model_max_length: int, stride: int, side: str
) -> Cutting:
    """From the published arguments ``truncation`` and ``max_length``.

    Raises:
        ConfigError: an unknown strategy or a length that is none.
    """
    given = getattr(truncation, "value", truncation)
    if given is None and max_length is not None:
        logger.warning("max_length without truncation: texts are cut to it. Say truncation=True.")
        given = True
    strategy = _strategy("truncation", given, STRATEGIES, off="do_not_truncate", on="longest_first")
    max_length = _length("max_length", max_length)
    stride = rules.integer(0)("stride", stride)
    if strategy == "do_not_truncate":
        return Cutting(strategy, None, stride, side)
    limit = model_max_length if max_length is None else max_length
    if limit >= UNLIMITED:
        logger.warning("truncation without max_length, and the model has no greatest length: nothing is cut.")
        return Cutting("do_not_truncate", None, stride, side)
    return Cutting(strategy, limit, stride, side)


def padding_of(
    given: Any,
    *,
    max_length: int | None,
    model_max_length: int,
    cut: Cutting,
    multiple: int | None,
    side: str,
) -> Padding:
    """From the published arguments ``padding``, ``max_length`` and ``pad_to_multiple_of``.

    Raises:
        ConfigError: an unknown strategy, or a multiple that cut rows cannot have.
    """
    given = getattr(given, "value", given)
    strategy = _strategy("padding", given, PADDINGS, off="do_not_pad", on="longest")
    max_length, multiple = _length("max_length", max_length), _length("pad_to_multiple_of", multiple or None)
    if strategy == "longest" and max_length is not None and cut.strategy == "do_not_truncate":
        warnings.warn("max_length without truncation changes nothing where padding=True.", stacklevel=4)
    length = None
    if strategy == "max_length":
        length = model_max_length if max_length is None else max_length
        if length >= UNLIMITED:
            logger.warning("padding to max_length without one, and the model has none: nothing is padded.")
            strategy, length = "do_not_pad", None
    if strategy != "do_not_pad" and multiple and cut.max_length is not None and cut.max_length % multiple:
        raise ConfigError(
            "Rows that are cut and padded must be able to have a length of the multiple.",
            received=f"max_length={cut.max_length}, pad_to_multiple_of={multiple}",
            remedy=f"Choose max_length={max(multiple, cut.max_length // multiple * multiple)}.",
        )
    return Padding(strategy, length, multiple, one_side("padding_side", side))


def _strategy(name: str, given: Any, known: Sequence[str], *, off: str, on: str) -> str:
    strategy = off if given is None or given is False else on if given is True else given
    if not isinstance(strategy, str) or strategy not in known:
        raise ConfigError(
            f"{name} must be True, False or one of {', '.join(known)}.",
            received=f"{name}={given!r}",
            remedy=f"True is {on}.",
        )
    return strategy


def one_side(name: str, side: str) -> str:
    """``side``, if it is one.

    Raises:
        ConfigError: neither "right" nor "left".
    """
    if side not in ("right", "left"):
        raise ConfigError(
            f"{name} must be right or left.", received=f"{name}={side!r}", remedy='Choose "right" or "left".'
        )
    return side
