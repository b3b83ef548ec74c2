"""Which of a teacher's layers a student begins with, and with which it is compared. Layers count from 0."""

from collections.abc import Iterable, Sequence
from operator import index
from typing import Literal, get_args

import numpy as np

from distilbert.errors import ConfigError

#: How a number of layers is spread over the teacher's.
Take = Literal["spread", "first", "last", "every-other"]

#: Layers of two models that are compared, the student's first.
LayerPairs = tuple[tuple[int, int], ...]


def choose_layers(layers: int | Sequence[int], *, of: int, take: Take | None = None) -> tuple[int, ...]:
    """The layers of a teacher that a student begins with, in the student's order.

    Args:
        layers: how many, or which, in the student's order. One may be named twice, by which a student becomes
            deeper than its teacher.
        of: how many the teacher has.
        take: where a number of them comes from. ``"spread"``, the default, is evenly from the first to the
            last, and one alone is the first; from 12 to 6 that is the published choice, 0, 2, 4, 7, 9 and
            11. ``"every-other"`` is 0, 2, 4 and so on, which is what Sanh et al. 2019, section 3, say in
            words; of an even number it leaves the last out. ``"first"`` and ``"last"`` are neighbours at
            that end.

    Raises:
        ConfigError: layers that the teacher does not have, or a way to choose among layers that are named.
    """
    if not isinstance(layers, int | np.integer):
        return _named(layers, of=of, take=take)
    take = "spread" if take is None else take
    if take not in get_args(Take):
        raise ConfigError(
            f"Layers are taken in one of the ways {', '.join(get_args(Take))}.",
            received=f"{take!r:.80}",
            remedy="Choose one of them, or name the layers.",
        )
    count = int(layers)
    most = (of + 1) // 2 if take == "every-other" else of
    if not 1 <= count <= most:
        raise ConfigError(
            "A student has at least one layer and at most as many as its teacher, of every other the half.",
            received=f"{count} layers from a teacher of {of}"
            + (f", taking {take}" if take != "spread" else ""),
            remedy=f"Choose from 1 to {most}, or name layers, of which one may stand twice.",
        )
    if take == "every-other":
        return tuple(range(0, 2 * count, 2))
    if take == "first":
        return tuple(range(count))
    if take == "last":
        return tuple(range(of - count, of))
    return tuple(int(layer) for layer in np.rint(np.linspace(0, of - 1, count)))


def _named(layers: Sequence[int], *, of: int, take: Take | None) -> tuple[int, ...]:
    if take is not None:
        raise ConfigError(
            "Either a number of layers is taken somewhere, or layers are named.",
            received=f"{_shown(layers)}, and to take {take!r:.80}",
            remedy="Give one number, or leave out where to take them.",
        )
    if not layers or not all(isinstance(i, int | np.integer) and 0 <= i < of for i in layers):
        raise ConfigError(
            f"The layers to keep must be among the teacher's, 0 to {of - 1}.",
            received=_shown(layers) or "none",
            remedy="Name at least one of them, separated by commas.",
        )
    return tuple(int(layer) for layer in layers)


def layer_map(
    student: int, teacher: int, kind: Literal["uniform", "last"] | Iterable[tuple[int, int]] = "uniform"
) -> LayerPairs:
    """Which layer of the student is compared with which of the teacher's, for losses on states or attentions.

    The states after layer ``i`` stand at ``i + 1`` in ``hidden_states``, whose first are the embeddings; the
    attentions of layer ``i`` stand at ``i``.

    Args:
        student: how many layers it has.
        teacher: how many it has.
        kind: ``"uniform"``: each layer of the student answers for a run of the teacher's and is compared
            with the run's last (TinyBERT, Jiao et al. 2020, section 3.1); both models' last layers go
            together, and runs differ in length by one where the numbers do not divide. ``"last"``: the
            student's layers with as many of the teacher's last (PKD-last, Sun et al. 2019, section 3.2).
            Or pairs of (student's, teacher's) layers, such as ``enumerate(layers)`` for those that the
            student began with.

    Returns:
        The pairs, in the student's order.

    Raises:
        ConfigError: layers that there are not, a layer of the student's twice, or no pair.
    """
    if isinstance(kind, str):
        if kind == "uniform":
            return tuple((i, -(-(i + 1) * teacher // student) - 1) for i in range(student))
        if kind == "last" and student <= teacher:
            return tuple((i, teacher - student + i) for i in range(student))
        raise ConfigError(
            "Layers are paired as uniform, or as last where the teacher has at least as many.",
            received=f"{kind!r:.80} for {student} layers and {teacher} of the teacher's",
            remedy="Choose uniform, or give pairs of layers.",
        )
    pairs = tuple(sorted((index(mine), index(theirs)) for mine, theirs in kind))
    mine = [pair[0] for pair in pairs]
    there = all(0 <= i < student and 0 <= j < teacher for i, j in pairs)
    if not pairs or not there or len(set(mine)) < len(mine):
        raise ConfigError(
            f"Pairs of layers name each layer of the student's, 0 to {student - 1}, at most once, "
            f"with one of the teacher's, 0 to {teacher - 1}.",
            received=", ".join(f"{i}-{j}" for i, j in pairs) or "none",
            remedy="Correct the pairs, which count from 0.",
        )
    return pairs


def _shown(layers: Sequence[int]) -> str:
    return ", ".join(f"{layer!s:.20}" for layer in layers[:50])
