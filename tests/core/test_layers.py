"""Which of a teacher's layers a student begins with, and which of them it is compared with."""

import numpy as np
import pytest

from distilbert.core.layers import choose_layers, layer_map
from distilbert.errors import ConfigError


def test_the_published_layers() -> None:
    assert choose_layers(6, of=12) == choose_layers(6, of=12, take="spread") == (0, 2, 4, 7, 9, 11)
    # What the paper says in words is another choice, without the last layer.
    assert choose_layers(6, of=12, take="every-other") == (0, 2, 4, 6, 8, 10)


@pytest.mark.parametrize("of", range(1, 25))
def test_chosen_layers_are_in_order_and_hold_both_ends(of: int) -> None:
    for count in range(1, of + 1):
        layers = choose_layers(count, of=of)
        assert len(layers) == count
        assert list(layers) == sorted(set(layers))
        assert layers[0] == 0
        assert count == 1 or layers[-1] == of - 1
        gaps = np.diff(layers)
        assert count < 3 or gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize("of", [1, 2, 7, 12])
def test_layers_from_an_end_and_every_other(of: int) -> None:
    for count in range(1, of + 1):
        assert choose_layers(count, of=of, take="first") == tuple(range(of))[:count]
        assert choose_layers(count, of=of, take="last") == tuple(range(of))[-count:]
    for count in range(1, len(range(0, of, 2)) + 1):
        assert choose_layers(count, of=of, take="every-other") == tuple(range(0, of, 2))[:count]
    with pytest.raises(ConfigError, match=r"taking every-other. Choose from 1 to"):
        choose_layers(len(range(0, of, 2)) + 1, of=of, take="every-other")


@pytest.mark.parametrize("layers", [(5, 0, 3), [2], range(4), (np.int64(1), 2), (0, 0, 1, 1, 5, 5, 5)])
def test_layers_that_are_named_come_as_they_are_named(layers: object) -> None:
    chosen = choose_layers(layers, of=6)
    assert chosen == tuple(layers)
    assert all(type(layer) is int for layer in chosen)


@pytest.mark.parametrize("count", [0, 7, -1])
def test_more_layers_than_the_teacher_has(count: int) -> None:
    with pytest.raises(ConfigError, match=f"{count} layers from a teacher of 6. Choose from 1 to 6"):
        choose_layers(count, of=6)


@pytest.mark.parametrize("layers", [(), (0, 4), (-1,), "03", (1.0,), ("1",)])
def test_layers_that_there_are_not(layers: object) -> None:
    with pytest.raises(ConfigError, match="among the teacher's, 0 to 3"):
        choose_layers(layers, of=4)


def test_ways_to_choose_that_there_are_not() -> None:
    with pytest.raises(ConfigError, match="spread, first, last, every-other. Received: 'middle'"):
        choose_layers(2, of=4, take="middle")
    with pytest.raises(ConfigError, match="Received: 0, 2, and to take 'first'. Give one number"):
        choose_layers((0, 2), of=4, take="first")


def test_layers_in_pairs() -> None:
    # TinyBERT's: four layers answer for three each, and are compared with the third.
    assert layer_map(4, 12) == ((0, 2), (1, 5), (2, 8), (3, 11))
    assert layer_map(3, 4) == ((0, 1), (1, 2), (2, 3))
    assert layer_map(4, 2) == ((0, 0), (1, 0), (2, 1), (3, 1))
    assert layer_map(4, 12, "last") == ((0, 8), (1, 9), (2, 10), (3, 11))
    assert layer_map(3, 12, [(2, 11), (0, 4)]) == ((0, 4), (2, 11))
    assert layer_map(3, 12, enumerate((0, 5, 11))) == ((0, 0), (1, 5), (2, 11))


@pytest.mark.parametrize("teacher", range(1, 13))
def test_uniform_pairs_share_the_teacher_out(teacher: int) -> None:
    for student in range(1, 16):
        pairs = layer_map(student, teacher)
        assert [mine for mine, _ in pairs] == list(range(student))
        theirs = [theirs for _, theirs in pairs]
        assert theirs[-1] == teacher - 1
        runs = np.diff([-1, *theirs])
        assert runs.min() >= 0
        assert runs.max() - runs.min() <= 1
    assert layer_map(teacher, teacher) == layer_map(teacher, teacher, "last")


@pytest.mark.parametrize("pairs", [[], [(0, 4)], [(2, 0)], [(-1, 0)], [(0, 0), (0, 1)]])
def test_pairs_that_cannot_be(pairs: list[tuple[int, int]]) -> None:
    with pytest.raises(ConfigError, match="0 to 1, at most once, with one of the teacher's, 0 to 3"):
        layer_map(2, 4, pairs)


@pytest.mark.parametrize(("student", "kind"), [(2, "first"), (5, "last")])
def test_ways_to_pair_that_there_are_not(student: int, kind: str) -> None:
    with pytest.raises(ConfigError, match=f"Received: '{kind}' for {student} layers and 4 of the teacher's"):
        layer_map(student, 4, kind)
