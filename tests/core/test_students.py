"""What students there can be, and those that begin at random."""

import numpy as np
import pytest
from models import TEACHER

from distilbert import BertConfig, DistilBertConfig
from distilbert.core.parameters import Head, Role, manifest
from distilbert.core.students import StudentShape, draw, student_config
from distilbert.errors import ConfigError


def test_a_student_has_its_teachers_sizes_and_rates_unless_others_are_named() -> None:
    teacher = BertConfig(
        vocab_size=70, hidden_size=32, num_hidden_layers=4, num_attention_heads=4, intermediate_size=96,
        max_position_embeddings=24, hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.3,
        hidden_act="relu", initializer_range=0.5, pad_token_id=3, tie_word_embeddings=False,
        pruned_heads={3: [1]},
    )  # fmt: skip
    plan = StudentShape((3, 1, 3)).plan(teacher)
    assert (plan.layers, plan.init) == ((3, 1, 3), "layers")
    assert plan.facts() == {"teacher_layers": [3, 1, 3], "init": "layers"}
    same = DistilBertConfig(
        vocab_size=70, dim=32, n_layers=3, n_heads=4, hidden_dim=96, max_position_embeddings=24, dropout=0.2,
        attention_dropout=0.3, activation="relu", initializer_range=0.5, pad_token_id=3,
        tie_word_embeddings=False, pruned_heads={0: [1], 1: [], 2: [1]},
    )  # fmt: skip
    assert plan.config.to_dict() == same.to_dict() == student_config(teacher, layers=(3, 1, 3)).to_dict()
    other = StudentShape(2, take="first", dim=16, n_heads=4, hidden_dim=5, positions=7).plan(teacher)
    assert (other.layers, other.init) == ((0, 1), "pca")
    sizes = {"n_layers": 2, "dim": 16, "n_heads": 4, "hidden_dim": 5, "max_position_embeddings": 7}
    assert {name: getattr(other.config, name) for name in sizes} == sizes


def test_a_narrower_student_keeps_the_width_of_heads_and_the_ratio_of_neurons() -> None:
    teacher = BertConfig(hidden_size=384, num_attention_heads=12, intermediate_size=1536)
    for dim, heads, neurons in ((192, 6, 768), (96, 3, 384), (24, 12, 96)):
        config = StudentShape(3, dim=dim).plan(teacher).config
        assert (config.n_heads, config.hidden_dim) == (heads, neurons)
    # Fewer positions alone are no narrower student.
    assert StudentShape(3, positions=64).plan(teacher).init == "layers"
    assert StudentShape(3, hidden_dim=100).plan(teacher).init == "slice"


REFUSED = {
    "wider": (
        {"dim": 48, "n_heads": 4, "hidden_dim": 9},
        "nowhere wider than it. Received: dim=48 of a teacher's 32. Choose smaller sizes, or begin at random",
    ),
    "more heads": ({"n_heads": 8}, "n_heads=8 of a teacher's 4. Choose smaller sizes, or begin at random"),
    "more positions": ({"positions": 25}, "max_position_embeddings=25 of a teacher's 24"),
    "wider heads": (
        {"dim": 16, "n_heads": 1},
        "may not be wider than its teacher's. Received: n_heads=1, dim=16, heads of 16 in place of 8",
    ),
    "fewer heads of the same width": ({"n_heads": 2}, "heads of 16 in place of 8. Choose more heads"),
    "indivisible": ({"dim": 16, "n_heads": 3}, "n_heads must divide dim. Received: n_heads=3, dim=16"),
    "no width": ({"dim": 0}, "dim must be a whole number of at least 1"),
    "no neurons": ({"hidden_dim": -3}, "hidden_dim must be a whole number"),
    "half a head": ({"n_heads": 1.5}, "n_heads must be a whole number"),
    "no room for a word": ({"positions": 2}, "positions must be a whole number of at least 3"),
    "layers as they are": (
        {"dim": 16, "init": "layers"},
        "has its teacher's sizes. Received: dim=16 of a teacher's 32, n_heads=2 of a teacher's 4, "
        "hidden_dim=32 of a teacher's 64. Choose slice or pca",
    ),
    "no such beginning": ({"init": "svd"}, "one of the ways layers, slice, pca, random. Received: 'svd'"),
    "no such layers": ({"layers": (0, 4)}, "among the teacher's, 0 to 3"),
    "too many layers": ({"layers": 5}, "5 layers from a teacher of 4"),
    "no layers at random": ({"layers": 0, "init": "random"}, "layers must be a whole number of at least 1"),
    "indivisible at random": ({"dim": 30, "init": "random"}, "n_heads must divide dim"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_there_cannot_be_is_refused_in_a_sentence(name: str) -> None:
    sizes, sentence = REFUSED[name]
    sizes = {"layers": 2, **sizes}
    init = sizes.pop("init", None)
    with pytest.raises(ConfigError) as refused:
        StudentShape(**sizes).plan(TEACHER, init=init)
    assert sentence in str(refused.value)


def test_heads_that_are_not_there_cannot_be_chosen_among() -> None:
    teacher = BertConfig.from_dict({**TEACHER.to_dict(), "pruned_heads": {1: [0]}})
    assert StudentShape((0, 1)).plan(teacher).config.pruned_heads == {1: [0]}
    assert StudentShape((1, 0), hidden_dim=8).plan(teacher).config.pruned_heads == {0: [0]}
    assert StudentShape((0, 2), dim=16).plan(teacher).config.pruned_heads == {}
    with pytest.raises(
        ConfigError, match="pruned heads in layers 1 of the teacher. Keep its width and heads"
    ):
        StudentShape((0, 1), dim=16).plan(teacher)
    assert StudentShape(2, dim=16).plan(teacher, init="random").config.pruned_heads == {}


def test_at_random_a_student_may_be_of_any_size() -> None:
    shape = StudentShape(9, dim=40, n_heads=20, hidden_dim=100, positions=50)
    plan = shape.plan(TEACHER, init="random")
    assert (plan.layers, plan.init) == ((), "random")
    arrays = draw(plan.config, np.random.default_rng(0))
    wanted = {p.key: p.shape for p in manifest(plan.config, Head.MASKED_LM) if not p.tied_to}
    assert {key: array.shape for key, array in arrays.items()} == wanted
    assert plan.config.n_layers == 9
    assert StudentShape((0, 2, 1)).plan(TEACHER, init="random").config.n_layers == 3


@pytest.mark.parametrize("tied", [True, False])
def test_at_random_weights_are_the_configurations_and_the_seeds(tied: bool) -> None:
    config = DistilBertConfig(
        vocab_size=500, max_position_embeddings=64, n_layers=2, n_heads=4, dim=64, hidden_dim=128,
        initializer_range=0.07, pad_token_id=5, tie_word_embeddings=tied,
    )  # fmt: skip
    arrays = draw(config, np.random.default_rng(1))
    again, other = (draw(config, np.random.default_rng(seed)) for seed in (1, 2))
    drawn = []
    for parameter in manifest(config, Head.MASKED_LM):
        if parameter.tied_to:
            assert parameter.key not in arrays
            continue
        array = arrays[parameter.key]
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, again[parameter.key])
        if parameter.role in (Role.KERNEL, Role.EMBEDDING):
            assert (array != other[parameter.key]).mean() > 0.99
            drawn.append(array)
        else:
            assert (array == (parameter.role is Role.NORM_SCALE)).all()
    words = drawn.pop(0)
    assert not words[5].any()
    assert np.delete(words, 5, 0).all()
    numbers = np.concatenate([array.ravel() for array in drawn]) / 0.07
    # The normal distribution's first moments, and its share beyond one and two of its spreads.
    assert abs(numbers.mean()) < 0.01
    assert abs(numbers.std() - 1) < 0.01
    assert abs((np.abs(numbers) > 1).mean() - 0.3173) < 0.01
    assert abs((np.abs(numbers) > 2).mean() - 0.0455) < 0.005
