"""Which tokens of one or two texts fit a row, and which further rows the rest makes."""

from typing import NamedTuple

from distilbert.errors import ConfigError, DataError

#: How a text that is too long is cut.
STRATEGIES = ("longest_first", "only_first", "only_second", "do_not_truncate")

Span = tuple[int, int]


class Window(NamedTuple):
    """Tokens ``[start, end)`` of each text; ``second`` is None where there is one text."""

    first: Span
    second: Span | None = None


def windows(
    first: int,
    second: int | None,
    *,
    limit: int | None,
    strategy: str = "longest_first",
    stride: int = 0,
    side: str = "right",
) -> list[Window]:
    """The windows of a row: the one that is kept, and those that overflow.

    Args:
        first: tokens of the first text.
        second: of the second, or None.
        limit: tokens that a row has room for, special ones not counted; None for any number.
        strategy: one of ``STRATEGIES``.
        stride: tokens that neighbouring windows share.
        side: where tokens are dropped, "right" or "left".

    Raises:
        ConfigError: a stride as long as a window.
        DataError: the text that is to be cut is shorter than what must go.
    """
    total = first + (second or 0)
    if limit is None or total <= limit or strategy == "do_not_truncate":
        return [Window((0, first), None if second is None else (0, second))]
    keep_first, keep_second = _kept(first, second, limit, strategy, total - limit)
    firsts = _spans(first, keep_first, stride, side)
    if second is None or keep_second is None:
        return [Window(span) for span in firsts]
    seconds = _spans(second, keep_second, stride, side)
    main = Window(firsts[0], seconds[0])
    overflowing = [Window(a, b) for a in firsts[1:] for b in seconds]
    return [main, *overflowing, *(Window(firsts[0], b) for b in seconds[1:])]


def _kept(first: int, second: int | None, limit: int, strategy: str, excess: int) -> tuple[int, int | None]:
    """How many tokens of each text are kept."""
    if strategy == "longest_first":
        if second is None:
            return limit, None
        shorter, longer = sorted((first, second))
        longer = max(shorter, limit - shorter)
        if shorter + longer > limit:
            shorter, longer = limit // 2, limit - limit // 2
        return (shorter, longer) if first <= second else (longer, shorter)
    target = first if strategy == "only_first" else second
    if target is None or target <= excess:
        raise DataError(
            "The text that is cut must be longer than what has to go.",
            received=f"truncation={strategy!r}, {excess} tokens too many, {target or 0} to take them from",
            remedy='Use truncation="longest_first", or a greater max_length.',
        )
    return (first - excess, second) if strategy == "only_first" else (first, target - excess)


def _spans(length: int, keep: int, stride: int, side: str) -> list[Span]:
    """The spans of ``keep`` tokens that cover a text, the one at its beginning (or end) first."""
    if keep >= length:
        return [(0, length)]
    if keep == 0:
        return [(0, 0), (0, length)]
    if stride >= keep:
        raise ConfigError(
            "Windows must be longer than what they share.",
            received=f"stride={stride} and windows of {keep} tokens, special ones not counted",
            remedy="Choose a smaller stride or a greater max_length.",
        )
    step = keep - stride
    spans = []
    for shift in range(0, length, step):
        spans.append((shift, min(shift + keep, length)))
        if shift + keep >= length:
            break
    return spans if side == "right" else [(length - end, length - start) for start, end in spans]
