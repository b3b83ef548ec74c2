"""Charts as inline SVG that takes the page's colours, light or dark."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from distilbert.errors import MissingExtraError

#: One colour a series, told apart on light and on dark ground and by most colour-blind readers.
COLOURS = ("#3b82c4", "#d9762b", "#2f9e6e", "#a465c2", "#c9473f")

#: Stands in the drawing for the page's text colour, which the drawing cannot know.
_INK = "#010203"

_STYLE = {
    "svg.fonttype": "none",  # text stays text: selectable, and in the page's font
    "svg.hashsalt": "distilbert",  # the same figures give the same file
    "font.size": 9,
    "text.parse_math": False,  # a label may hold dollars
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
}


def require_charts() -> None:
    """Say at once, and not after a training, that nothing can be drawn.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401  # a package can be there and not work
    except ImportError:
        raise MissingExtraError.of("train", wanted="A chart", missing="matplotlib") from None


def line_chart(
    series: Mapping[str, Sequence[float]], *, x: str, y: str, smooth: int = 1, log: bool = False
) -> str:
    """Lines over their index: the mean of each ``smooth`` values, and the values themselves faintly.

    Args:
        series: a name and its values.
        x: what the index counts.
        y: what the values are.
        smooth: values in a mean.
        log: a logarithmic scale.
    """
    with _figure(5.2, 2.6) as (figure, axes):
        for (name, values), colour in zip(series.items(), COLOURS, strict=False):
            steps = np.arange(1, len(values) + 1)
            axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
            width = min(smooth, len(values))
            means = np.convolve(values, np.ones(width) / width, mode="valid")
            axes.plot(steps[width - 1 :], means, color=colour, label=name)
        if log:
            axes.set_yscale("log")
        axes.set(xlabel=x, ylabel=y)
        axes.grid(axis="y", alpha=0.15, color=_INK, linewidth=0.6)
        # Above the lines: inside, it would hide whichever runs there.
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(series), borderaxespad=0)
        return _svg(figure, f"{y} over {x}: {', '.join(series)}")


def interval_chart(rows: Mapping[str, tuple[float, float, float]], *, x: str) -> str:
    """A dot with its interval for each row.

    Args:
        rows: a name, and value, low and high end.
        x: what the values are.
    """
    with _figure(5.2, 0.5 + 0.42 * len(rows)) as (figure, axes):
        for i, (value, low, high) in enumerate(rows.values()):
            colour = COLOURS[i % len(COLOURS)]
            axes.plot([low, high], [-i, -i], color=colour, linewidth=2, alpha=0.6, solid_capstyle="round")
            axes.plot([value], [-i], "o", color=colour, markersize=7)
            axes.annotate(f"{value:.3f}", (value, -i), xytext=(0, 7), textcoords="offset points", ha="center")
        axes.set_yticks([-i for i in range(len(rows))], list(rows))
        axes.set_ylim(-len(rows) + 0.5, 0.7)
        axes.set_xlabel(x)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x", alpha=0.15, color=_INK, linewidth=0.6)
        listed = "; ".join(f"{n} {v:.3f} ({lo:.3f} to {hi:.3f})" for n, (v, lo, hi) in rows.items())
        return _svg(figure, f"{x} with 95% intervals: {listed}")


def dot_chart(
    groups: Mapping[str, Sequence[tuple[float, float]]], *, x: str, y: str, log: bool = False
) -> str:
    """A dot for each pair of numbers, in a colour for each group.

    Args:
        groups: a name, and its pairs.
        x: what the first numbers are.
        y: what the second ones are.
        log: a logarithmic scale of the first.
    """
    with _figure(5.2, 2.6) as (figure, axes):
        for (name, points), colour in zip(groups.items(), COLOURS, strict=False):
            axes.plot(*zip(*points, strict=True), "o", color=colour, alpha=0.8, markersize=5, label=name)
        if log:
            axes.set_xscale("log")
        axes.set(xlabel=x, ylabel=y)
        axes.grid(alpha=0.15, color=_INK, linewidth=0.6)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(groups), borderaxespad=0)
        return _svg(figure, f"{y} over {x}: {', '.join(groups)}")


def reliability_chart(bins: Sequence[Mapping[str, float]], *, x: str, y: str) -> str:
    """How often decisions are right over how sure the model was; the line is where both are the same.

    Args:
        bins: as ``reliability`` has them: ``low``, ``high``, ``decisions``, ``confidence``, ``right``.
        x: what confidence is.
        y: what is right.
    """
    with _figure(3.6, 3.4) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=_INK, alpha=0.35, linewidth=0.8, linestyle="--")
        greatest = max((one["decisions"] for one in bins), default=1)
        for one in bins:
            axes.bar(
                one["low"],
                one["decisions"] / greatest,
                one["high"] - one["low"],
                align="edge",
                color=COLOURS[0],
                alpha=0.15,
            )
        sure, right = ([one[name] for one in bins] for name in ("confidence", "right"))
        axes.plot(sure, right, "o-", color=COLOURS[0], markersize=5)
        axes.set(xlabel=x, ylabel=y, xlim=(0, 1), ylim=(0, 1.02))
        axes.grid(alpha=0.15, color=_INK, linewidth=0.6)
        said = "; ".join(f"{one['confidence']:.2f}: {one['right']:.2f} of {one['decisions']}" for one in bins)
        return _svg(figure, f"{y} over {x}: {said}")


def matrix_chart(counts: Sequence[Sequence[int]], labels: Sequence[str], *, x: str, y: str) -> str:
    """A field for each pair of labels, the darker the larger its share of its row.

    Args:
        counts: [C down, C across].
        labels: of both.
        x: what stands across.
        y: what stands down.
    """
    numbers = np.asarray(counts, np.float64)
    shares = numbers / np.maximum(1, numbers.sum(axis=1, keepdims=True))
    size = 1.4 + 0.42 * len(labels)
    with _figure(max(3.0, size), max(2.4, size - 0.4)) as (figure, axes):
        for i, j in np.ndindex(*numbers.shape):
            colour = COLOURS[2] if i == j else COLOURS[4]
            axes.fill_between([j, j + 1], -i, -i - 1, color=colour, alpha=0.75 * shares[i, j], linewidth=0)
            if numbers[i, j]:
                axes.text(j + 0.5, -i - 0.5, f"{numbers[i, j]:.0f}", ha="center", va="center", fontsize=8)
        middles = np.arange(len(labels)) + 0.5
        turned = 60 if max(map(len, labels), default=0) > 4 else 0
        axes.set_xticks(middles, labels, rotation=turned, ha="right" if turned else "center")
        axes.set_yticks(-middles, labels)
        axes.set(xlabel=x, ylabel=y, xlim=(0, len(labels)), ylim=(-len(labels), 0))
        axes.tick_params(length=0)
        return _svg(figure, f"{y} (down) and {x} (across) of {', '.join(labels)}")


class _figure:
    """A figure in this module's style, without the interpreter's global plotting state."""

    def __init__(self, width: float, height: float) -> None:
        self._size = (width, height)

    def __enter__(self) -> tuple[Any, Any]:
        require_charts()
        import matplotlib
        from matplotlib.figure import Figure

        self._context = matplotlib.rc_context(_STYLE)  # type: ignore[arg-type]
        self._context.__enter__()
        figure = Figure(figsize=self._size, layout="constrained")
        return figure, figure.subplots()

    def __exit__(self, *exception: Any) -> None:
        self._context.__exit__(*exception)


def _svg(figure: Any, description: str) -> str:
    """The figure as an element that fills its column and says in words what it shows."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r'\1 width="100%"', svg, count=1)
    title = description.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return svg.replace("<svg", f'<svg role="img" aria-label="{title}"', 1)
