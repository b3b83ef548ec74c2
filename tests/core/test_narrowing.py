"""A narrower model is the wide one wherever that can be, and the nearest by a measure elsewhere.

The exact cases are narrow models in disguise: wide ones, built of a narrow one, that compute what it does.
"""

from collections.abc import Mapping
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest

from distilbert import DistilBertConfig
from distilbert.core import narrowing, parameters, reference
from distilbert.core.narrowing import narrow, principal_basis, sample_states
from distilbert.core.parameters import Axis, Head, Parameter, Role, manifest
from distilbert.errors import ConfigError

Arrays = dict[str, np.ndarray]


def config(**sizes: object) -> DistilBertConfig:
    usual = {
        "vocab_size": 40, "max_position_embeddings": 12, "n_layers": 2, "n_heads": 2, "dim": 8,
        "hidden_dim": 12,
    }  # fmt: skip
    return DistilBertConfig(**{**usual, **sizes})


def parts(of: DistilBertConfig) -> list[Parameter]:
    return [p for p in manifest(of, Head.MASKED_LM) if not p.tied_to]


def layer(parameter: Parameter) -> int | None:
    return parameters.layer_of(parameter.key.removeprefix("distilbert."))


def scattered(of: DistilBertConfig, seed: int = 0) -> Arrays:
    """Arrays of the size that makes every part matter."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for p in parts(of):
        noise = rng.standard_normal(p.shape)
        kernel = p.role in (Role.KERNEL, Role.EMBEDDING)
        arrays[p.key] = noise / np.sqrt(p.shape[-1]) if kernel else 0.3 * noise + (p.role is Role.NORM_SCALE)
    return arrays


def logits(of: DistilBertConfig, arrays: Mapping[str, np.ndarray], length: int = 9) -> np.ndarray:
    ids = np.random.default_rng(9).integers(0, of.vocab_size, (5, length))
    mask = np.arange(length) < np.array([[length], [1], [5], [length], [3]])
    states = reference.encode(of, arrays, ids, mask).last_hidden_state
    return reference.masked_lm_logits(of, arrays, states)[mask]


def seen(of: DistilBertConfig, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    return sample_states(of, arrays, np.random.default_rng(0).integers(0, of.vocab_size, (8, 12)))


def words(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    return tree(arrays).distilbert.embeddings.word_embeddings.weight


def tree(arrays: Mapping[str, np.ndarray]) -> SimpleNamespace:
    return parameters.as_attributes(arrays)


# Slices.


class Padded:
    """A wide model that computes what a narrow one does, and where in it the narrow one's numbers stand.

    Every coordinate has a twin, written like it and read by nothing, so that means and variances stay.
    Further heads and neurons compute something that leads nowhere.
    """

    def __init__(self, small: DistilBertConfig, wide: DistilBertConfig, seed: int = 0) -> None:
        self.small, self.wide = small, wide
        self.rng = np.random.default_rng(seed)
        self.places: dict[tuple[int | None, Axis], np.ndarray] = {
            (None, Axis.WIDTH): self._some(wide.dim, small.dim)
        }
        self.twins = np.setdiff1d(np.arange(wide.dim), self.places[None, Axis.WIDTH])
        self.rng.shuffle(self.twins)
        for i in range(wide.n_layers):
            heads = self._some(wide.n_heads, small.n_heads)
            for axis in (Axis.QUERIES, Axis.VALUES):
                self.places[i, axis] = self._coordinates(heads)
            self.places[i, Axis.KEYS] = self.places[i, Axis.QUERIES]
            self.places[i, Axis.NEURONS] = self._some(wide.hidden_dim, small.hidden_dim)
        self.narrow = scattered(small, seed)
        # A score is divided by the root of the heads' width, of which the wide model has more.
        self.query_scale = np.sqrt((wide.dim // wide.n_heads) / (small.dim // small.n_heads))
        pairs = zip(parts(small), parts(wide), strict=True)
        self.arrays = {p.key: self._wider(p, wider, self.narrow[p.key]) for p, wider in pairs}

    def index(self, parameter: Parameter) -> tuple[np.ndarray, ...]:
        """Where the narrow array stands in the wide one."""
        where = []
        for axis, size in zip(parameter.axes, parameter.shape, strict=True):
            place = self.places.get((layer(parameter), axis), self.places.get((None, axis)))
            where.append(np.arange(size) if place is None else place)
        return np.ix_(*where)

    def _some(self, whole: int, count: int) -> np.ndarray:
        return np.sort(self.rng.permutation(whole)[:count])

    def _coordinates(self, heads: np.ndarray) -> np.ndarray:
        width, whole = (c.dim // c.n_heads for c in (self.small, self.wide))
        return np.concatenate([head * whole + self._some(whole, width) for head in heads])

    def _wider(self, p: Parameter, wider: Parameter, array: np.ndarray) -> np.ndarray:
        leads_out = p.role is Role.KERNEL and p.axes[1] in (Axis.VALUES, Axis.NEURONS)
        # What is added leads nowhere: nothing reads its values and neurons, and its keys are zeros.
        nothing = leads_out or Axis.KEYS in p.axes or p.axes[-1] is Axis.WIDTH
        out = np.zeros(wider.shape) if nothing else self.rng.standard_normal(wider.shape)
        if p.role is Role.KERNEL and p.axes[0] in (Axis.QUERIES, Axis.VALUES, Axis.NEURONS):
            out[:, self.places[None, Axis.WIDTH]] = self.rng.standard_normal((len(out), self.small.dim))
        if Axis.QUERIES in p.axes:
            array = array * self.query_scale
        out[self.index(p)] = array
        written = p.role is Role.KERNEL and p.axes[0] is Axis.WIDTH
        if written or p.axes == (Axis.WIDTH,):
            # The head's last LayerNorm leads straight to the table of words, where twins would be read.
            last = "vocab" in p.key and p.role in (Role.NORM_SCALE, Role.NORM_BIAS)
            out[self.twins] = 0 if last else out[self.places[None, Axis.WIDTH]]
        if p.role is Role.EMBEDDING:
            out[:, self.twins] = out[:, self.places[None, Axis.WIDTH]]
        return out


SLICES = {
    "whole heads": {"n_heads": 4, "dim": 16, "hidden_dim": 20},
    "within heads": {"n_heads": 2, "dim": 16, "hidden_dim": 12},
    "many neurons": {"n_heads": 4, "dim": 16, "hidden_dim": 31},
    "two of three heads, cut": {"n_heads": 3, "dim": 12, "hidden_dim": 13, "small": {"n_heads": 2, "dim": 6}},
    "untied": {"n_heads": 4, "dim": 16, "hidden_dim": 20, "tie_word_embeddings": False},
}


def padded(name: str, seed: int = 0) -> Padded:
    sizes = dict(SLICES[name])
    small = sizes.pop("small", {})
    tied = {"tie_word_embeddings": sizes.get("tie_word_embeddings", True)}
    return Padded(config(**small, **tied), config(**sizes), seed)


@pytest.mark.parametrize("name", SLICES)
@pytest.mark.parametrize("seed", range(3))
def test_a_slice_of_what_counts_is_the_whole(name: str, seed: int) -> None:
    made = padded(name, seed)
    wide = logits(made.wide, made.arrays)
    np.testing.assert_allclose(wide, logits(made.small, made.narrow), rtol=0, atol=1e-10)
    cut = narrow(made.arrays, made.wide, to=made.small, states=seen(made.wide, made.arrays))
    for p in parts(made.small):
        taken = made.arrays[p.key][made.index(p)]
        if Axis.QUERIES in p.axes:
            np.testing.assert_allclose(cut[p.key], taken / made.query_scale, rtol=1e-15)
        else:
            np.testing.assert_array_equal(cut[p.key], taken, p.key)
    np.testing.assert_allclose(logits(made.small, cut), wide, rtol=0, atol=1e-10)


@pytest.mark.parametrize("part", ["coordinates", "neurons", "scores"])
def test_another_slice_is_not(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative controls: the first coordinates instead of those that count, or scores as they were."""
    made = padded("two of three heads, cut" if part == "scores" else "many neurons", seed=1)
    wide = logits(made.wide, made.arrays)
    if part == "scores":
        monkeypatch.setattr(narrowing, "math", SimpleNamespace(sqrt=lambda number: 1.0))
    else:
        greatest = narrowing._greatest
        spoiled = made.wide.dim if part == "coordinates" else made.wide.hidden_dim
        monkeypatch.setattr(
            narrowing,
            "_greatest",
            lambda scores, count: greatest(-scores if len(scores) == spoiled else scores, count),
        )
    cut = narrow(made.arrays, made.wide, to=made.small, states=seen(made.wide, made.arrays))
    assert np.abs(logits(made.small, cut) - wide).max() > 1e-2


# Principal components.


def wide_basis(wide: int, small: int, seed: int) -> np.ndarray:
    """Any orthonormal basis [D, d] that leads equal numbers to equal numbers."""
    rng = np.random.default_rng(seed)
    columns = np.column_stack([np.ones(wide), rng.standard_normal((wide, small - 1))])
    rows = np.column_stack([np.ones(small), rng.standard_normal((small, small - 1))])
    basis = np.linalg.qr(columns)[0] @ np.linalg.qr(rows)[0].T
    basis *= np.sign(basis.sum())
    np.testing.assert_allclose(basis.sum(0), np.full(small, np.sqrt(wide / small)), atol=1e-12)
    return basis


def turned(
    small: DistilBertConfig, wide: DistilBertConfig, seed: int = 0, *, uneven: float = 0.0
) -> tuple[Arrays, Arrays]:
    """A narrow model whose LayerNorms have one gain each, and the wide one that computes it in turned states.

    The head's activation sees large numbers only, which it leaves as they are, and the LayerNorm behind it
    takes off what makes them large.
    """
    basis = wide_basis(wide.dim, small.dim, seed)
    arrays, rng = scattered(small, seed), np.random.default_rng(seed)
    out = {}
    for p, wider in zip(parts(small), parts(wide), strict=True):
        if p.role is Role.NORM_SCALE:
            arrays[p.key] = np.full(p.shape, rng.uniform(0.5, 2))
            gain = arrays[p.key][0] * np.sqrt(small.dim / wide.dim)
            out[p.key] = gain * (1 + uneven * rng.standard_normal(wider.shape))
            continue
        if "vocab_transform" in p.key and p.role is Role.BIAS:
            arrays[p.key] = arrays[p.key] + 40
        array = arrays[p.key]
        for axis, counted in enumerate(p.axes):
            if counted is Axis.WIDTH:
                array = np.moveaxis(np.tensordot(array, basis.T, (axis, 0)), -1, axis)
            elif (more := wider.shape[axis] - array.shape[axis]) > 0:
                added = [(0, 0)] * array.ndim
                added[axis] = (0, more)
                array = np.pad(array, added)  # heads and neurons of zeros
        out[p.key] = array
    return arrays, out


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("seed", range(3))
def test_principal_components_of_a_turned_model_are_the_whole(tied: bool, activation: str, seed: int) -> None:
    more = {"tie_word_embeddings": tied, "activation": activation}
    small, wide = config(**more), config(dim=20, n_heads=5, hidden_dim=17, **more)
    narrow_arrays, arrays = turned(small, wide, seed)
    want = logits(wide, arrays)
    np.testing.assert_allclose(want, logits(small, narrow_arrays), rtol=0, atol=1e-9)
    cut = narrow(arrays, wide, to=small, states=seen(wide, arrays), turned=True)
    np.testing.assert_allclose(logits(small, cut), want, rtol=0, atol=1e-9)
    # Turned models have no coordinates that count and others that do not.
    assert (
        np.abs(logits(small, narrow(arrays, wide, to=small, states=seen(wide, arrays))) - want).max() > 1e-1
    )


def plain_components(*several: np.ndarray, width: int) -> np.ndarray:
    """The principal components as a textbook has them."""
    rows = np.concatenate([rows.reshape(-1, rows.shape[-1]) for rows in several])
    return np.linalg.svd(rows, full_matrices=False)[2][:width].T


@pytest.mark.parametrize("wrong", ["plain components", "gains", "uneven gains"])
def test_principal_components_otherwise_are_not(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small, wide = config(), config(dim=20, n_heads=5, hidden_dim=17)
    _, arrays = turned(small, wide, uneven=0.3 if wrong == "uneven gains" else 0.0)
    want = logits(wide, arrays)
    if wrong == "plain components":
        monkeypatch.setattr(narrowing, "principal_basis", plain_components)
    elif wrong == "gains":
        monkeypatch.setattr(narrowing, "Role", SimpleNamespace(NORM_SCALE=Role.NORM_BIAS))
    cut = narrow(arrays, wide, to=small, states=seen(wide, arrays), turned=True)
    assert np.abs(logits(small, cut) - want).max() > 1e-2


def test_each_new_gain_is_the_mean_of_those_it_is_made_of() -> None:
    """The diagonal of U^T diag(g) U, the nearest diagonal to it, times what a lost norm asks for."""
    wide, small = config(dim=20, n_heads=5), config()
    arrays = scattered(wide)
    states = seen(wide, arrays)
    basis = principal_basis(states, words(arrays), width=8)
    cut = narrow(arrays, wide, to=small, states=states, turned=True)
    scale = np.sqrt(((states - states.mean(-1, keepdims=True)) @ basis).var() / states.var(-1).mean())
    assert 0.9 < scale < np.sqrt(20 / 8)
    for p in parts(small):
        if p.role is Role.NORM_SCALE:
            mean = np.diag(basis.T @ np.diag(arrays[p.key]) @ basis)
            np.testing.assert_allclose(cut[p.key], mean * scale, atol=1e-12)
            assert not np.allclose(cut[p.key], basis.T @ arrays[p.key], atol=1e-2)


@pytest.mark.parametrize(("wide", "small"), [(12, 5), (12, 2), (12, 1), (7, 6), (6, 6)])
def test_the_basis_is_the_best_that_levels_survive(wide: int, small: int) -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((50, wide)) * np.geomspace(3, 0.1, wide) @ rng.standard_normal((wide, wide))
    basis = principal_basis(rows, width=small)
    np.testing.assert_allclose(basis.T @ basis, np.eye(small), atol=1e-12)
    np.testing.assert_allclose(basis @ np.ones(small), np.full(wide, np.sqrt(small / wide)), atol=1e-12)

    # Subtracting a row's mean commutes with it.
    def level(x: np.ndarray) -> np.ndarray:
        return x - x.mean(-1, keepdims=True)

    np.testing.assert_allclose(level(rows) @ basis, level(rows @ basis), atol=1e-12)
    # Eckart and Young: what is lost is the tail of the spectrum, and no other basis loses less.
    spectrum = np.linalg.svd(level(rows))[1] ** 2
    lost = ((rows - rows @ basis @ basis.T) ** 2).sum()
    assert lost == pytest.approx(spectrum[small - 1 :].sum(), abs=1e-9)
    for seed in range(5):
        other = wide_basis(wide, small, seed)
        assert ((rows - rows @ other @ other.T) ** 2).sum() >= lost - 1e-9


def test_the_basis_is_turned_to_the_coordinates() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((80, 10))
    # All of them are all of them, in their order.
    np.testing.assert_allclose(principal_basis(rows, width=10), np.eye(10), atol=1e-10)
    # Signs and order of rows, which a decomposition leaves open, do not show.
    rows *= np.geomspace(3, 0.1, 10)
    basis = principal_basis(rows, width=4)
    np.testing.assert_allclose(principal_basis(-rows[::-1], width=4), basis, atol=1e-10)
    # The coordinates with large numbers lead, each to one of its own.
    assert (basis**2).argmax(0).tolist() == [0, 1, 2, 3]
    # Nothing to choose by is no reason to fail.
    basis = principal_basis(np.zeros((3, 6)), width=4)
    np.testing.assert_allclose(basis.T @ basis, np.eye(4), atol=1e-12)


def test_scores_of_states_in_the_basis_stay() -> None:
    wide, small = config(dim=24, n_heads=6, hidden_dim=30), config(dim=8, n_heads=2, hidden_dim=10)
    arrays = scattered(wide)
    states = seen(wide, arrays)
    cut = narrow(arrays, wide, to=small, states=states, turned=True)
    basis = principal_basis(states, words(arrays), width=8)
    states_TD = np.random.default_rng(1).standard_normal((7, 24))

    def scores(model: Arrays, states_TD: np.ndarray, i: int) -> np.ndarray:
        heads = getattr(tree(model).distilbert.transformer.layer, str(i)).attention
        q_NTH, k_NTH = (
            reference.linear(states_TD, part).reshape(7, -1, 4).swapaxes(0, 1)
            for part in (heads.q_lin, heads.k_lin)
        )
        return q_NTH @ k_NTH.swapaxes(1, 2)

    def is_among(one: np.ndarray, several: np.ndarray) -> bool:
        return bool((np.abs(several - one).max((1, 2)) < 1e-10).any())

    for i in range(2):
        inside, outside = scores(arrays, states_TD @ basis @ basis.T, i), scores(arrays, states_TD, i)
        for head in scores(cut, states_TD @ basis, i):
            assert is_among(head, inside)
            assert not is_among(head, outside)


def test_states_and_words_decide_alike() -> None:
    """States in one space and words in another: of each, half of what is kept."""
    wide, small = config(dim=16, n_heads=4, hidden_dim=12), config(dim=9, n_heads=3)
    arrays, rng = scattered(config(dim=16, n_heads=4, hidden_dim=12)), np.random.default_rng(0)
    spaces = np.linalg.qr(np.column_stack([np.ones(16), rng.standard_normal((16, 8))]))[0][:, 1:]
    states = 100 * rng.standard_normal((5, 6, 4)) @ spaces[:, :4].T
    words(arrays)[...] = rng.standard_normal((40, 4)) @ spaces[:, 4:].T
    basis = principal_basis(states, words(arrays), width=9)
    np.testing.assert_allclose(basis @ basis.T @ spaces, spaces, atol=1e-10)
    cut = narrow(arrays, wide, to=small, states=states, turned=True)
    np.testing.assert_allclose(words(cut), words(arrays) @ basis, atol=1e-12)
    # The sum of both has other components: a hundred times more of the states.
    alone = principal_basis(np.concatenate([states.reshape(-1, 16), words(arrays)]), width=5)
    assert np.abs(alone @ alone.T @ spaces[:, 4:]).max() < 0.8


@pytest.mark.parametrize("is_turned", [False, True])
def test_states_are_needed_and_are_as_wide(is_turned: bool) -> None:
    wide, small = config(dim=16, n_heads=4, hidden_dim=12), config()
    for states, said in ((None, "none"), (np.zeros((3, 8)), "8")):
        with pytest.raises(ConfigError, match=f"Received: {said} for a width of 16. Give hidden states"):
            narrow(scattered(wide), wide, to=small, states=states, turned=is_turned)


def test_a_slice_is_chosen_by_what_is_there_and_is_read() -> None:
    """Of coordinates read alike, those that are large; of coordinates as large, those that are read."""
    wide, small = config(dim=16, n_heads=4, hidden_dim=12), config()
    arrays, rng = scattered(wide), np.random.default_rng(0)
    for p in parts(wide):
        reads = p.role in (Role.KERNEL, Role.EMBEDDING) and p.axes[-1] is Axis.WIDTH
        arrays[p.key] = np.full(p.shape, float(reads or p.role is Role.NORM_SCALE))
    large = rng.permutation(16)[:8]
    states = 0.1 * rng.standard_normal((50, 16))
    states[:, large] *= 10
    words(arrays)[...] = np.arange(16) + 1.0
    cut = narrow(arrays, wide, to=small, states=states)
    assert words(cut)[0].tolist() == (np.sort(large) + 1.0).tolist()
    for p in parts(wide):
        if p.role is Role.KERNEL and p.axes[-1] is Axis.WIDTH:
            arrays[p.key][:, large] = 1e-6
    words(arrays)[:, large] *= 1e-6
    cut = narrow(arrays, wide, to=small, states=np.ones((3, 16)))
    assert words(cut)[0].tolist() == (np.setdiff1d(np.arange(16), large) + 1.0).tolist()


def test_a_sample_is_of_live_tokens_and_of_no_more_than_it_takes() -> None:
    of = config(max_position_embeddings=7)
    arrays, rng = scattered(of), np.random.default_rng(0)
    ids, mask = rng.integers(0, 40, (20, 9)), np.ones((20, 9), int)
    mask[3, 2:] = mask[17] = 0
    states = sample_states(of, arrays, ids, mask)
    assert states.shape == (3, 16 * 7 - 5, 8)
    alone = reference.encode(of, arrays, ids[3:4, :2]).hidden_states
    np.testing.assert_allclose(states[:, 21:23], np.concatenate(alone), atol=1e-12)
    assert sample_states(of, arrays, ids).shape == (3, 16 * 7, 8)
    longer = config(max_position_embeddings=100)
    assert sample_states(longer, scattered(longer), rng.integers(0, 40, (2, 90))).shape == (3, 2 * 64, 8)


# What is the same in both.


@pytest.mark.parametrize("is_turned", [False, True])
def test_a_model_as_wide_is_itself(is_turned: bool) -> None:
    whole = config(dim=16, n_heads=4)
    arrays = scattered(whole)
    cut = narrow(arrays, whole, to=whole, turned=is_turned)
    assert cut.keys() == arrays.keys()
    for key, array in arrays.items():
        np.testing.assert_array_equal(cut[key], array)
    # Fewer positions are the first of them, and as good for texts that fit.
    short = config(dim=16, n_heads=4, max_position_embeddings=9)
    cut = narrow(arrays, whole, to=short, turned=is_turned)
    np.testing.assert_array_equal(logits(short, cut), logits(whole, arrays))


@pytest.mark.parametrize("is_turned", [False, True])
def test_neurons_that_lead_nowhere_go_first(is_turned: bool) -> None:
    whole, fewer = config(hidden_dim=20), config(hidden_dim=12)
    arrays, rng = scattered(whole), np.random.default_rng(0)
    layers = tree(arrays).distilbert.transformer.layer
    for block in (getattr(layers, "0"), getattr(layers, "1")):
        idle = rng.permutation(20)[:8]
        block.ffn.lin1.weight[idle[:4]] *= 50
        block.ffn.lin2.weight[:, idle[:4]] = 0
        block.ffn.lin1.weight[idle[4:]], block.ffn.lin1.bias[idle[4:]] = 0, 0
    cut = narrow(arrays, whole, to=fewer, turned=is_turned)
    np.testing.assert_allclose(logits(fewer, cut), logits(whole, arrays), rtol=0, atol=1e-12)


@pytest.mark.parametrize("is_turned", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_numbers_keep_their_type_and_the_wide_model_its_numbers(is_turned: bool, dtype: type) -> None:
    wide, small = config(dim=16, n_heads=2, hidden_dim=20), config()
    arrays = {key: array.astype(dtype) for key, array in scattered(wide).items()}
    before = {key: array.copy() for key, array in arrays.items()}
    cut = narrow(arrays, wide, to=small, states=seen(wide, arrays), turned=is_turned)
    assert {p.key: p.shape for p in parts(small)} == {key: array.shape for key, array in cut.items()}
    assert {array.dtype for array in cut.values()} == {np.dtype(dtype)}
    for key, array in arrays.items():
        np.testing.assert_array_equal(array, before[key])
