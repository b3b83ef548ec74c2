"""A masked language model cut to fewer coordinates, heads and neurons, without training.

Blocks read and write one stream of states, so the whole model keeps the same coordinates of it. Which ones is
what the two ways differ in.

A slice keeps coordinates as they stand, those that are read most: arrays lose rows and columns, and no number
changes but the scale of scores. Where the rest is read by nothing, and each LayerNorm finds the mean and the
variance among the kept that it found among all, the narrow model is the wide one.

Principal components turn the states first, x to U^T x, with an orthonormal basis U (``principal_basis``).
What reads states becomes W U and what writes them U^T W, as in SliceGPT (Ashkboos et al. 2024), so that
products of states that lie in the basis, scores among them, stay what they were. A LayerNorm subtracts a
mean, which commutes with U as U leads equal numbers to equal numbers. It divides by a norm, which U keeps up
to the share that lies outside and to the number of coordinates; the gain takes that up. And it multiplies by
its gain, one number for each coordinate, which commutes with U only where they are equal. SliceGPT moves
gains into the next weights; after a LayerNorm that stands behind the sum, as BERT's do, the next sum reads
them too. So with equal gains and states in the basis this is exact. Else each new coordinate gets the mean of
the gains that it is made of, and the basis is turned as near to the old coordinates as it goes, so that these
are few. The activation in the masked-language-model head works on single coordinates too, and is approximated
likewise.

Heads and neurons are no part of the stream and are chosen layer by layer, in both ways: whole heads where
their width stays, coordinates within them where it shrinks, and neurons, each by the norm of what leads in
times the norm of what leads out. DynaBERT (Hou et al. 2020, section 2.1) cuts the same parts, by a measure
that takes labelled data.
"""

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from distilbert.core import parameters, reference
from distilbert.core.config import DistilBertConfig, EncoderConfig
from distilbert.core.parameters import Axis, Head, Parameter, Role, manifest
from distilbert.core.weight_files import Arrays
from distilbert.errors import ConfigError

Array = np.ndarray[Any, Any]

#: How axes get shorter: indices to keep, or a matrix [old, new].
_Cut = dict[Axis, Array]

#: Rows and tokens of a sample: some hundred states tell as much of the coordinates as thousands.
SAMPLE_ROWS, SAMPLE_LENGTH = 16, 64


def narrow(
    arrays: Mapping[str, Array],
    config: DistilBertConfig,
    *,
    to: DistilBertConfig,
    states: Array | None = None,
    turned: bool = False,
) -> Arrays:
    """The arrays of a masked language model with the same layers and tokens, and narrower.

    Args:
        arrays: the wide model's, by key. They are not changed; what keeps its size is shared.
        config: the wide model's configuration.
        to: the narrow model's, in no size larger.
        states: [..., D], hidden states of the wide model, of whichever texts and layers, by which coordinates
            are chosen; needed where the width shrinks.
        turned: along principal components, in place of a slice.

    Raises:
        ConfigError: no states, or of another width.
    """
    weights = parameters.as_attributes(arrays)
    everywhere: _Cut = {}
    if to.max_position_embeddings < config.max_position_embeddings:
        everywhere[Axis.POSITIONS] = np.arange(to.max_position_embeddings)
    gain = 1.0
    if to.dim < config.dim:
        if states is None or states.shape[-1] != config.dim:
            raise ConfigError(
                "Coordinates are chosen by states as wide as the teacher.",
                received=f"{'none' if states is None else states.shape[-1]} for a width of {config.dim}",
                remedy="Give hidden states of this teacher.",
            )
        states = states.reshape(-1, config.dim).astype(np.float64)
        if turned:
            words = weights.distilbert.embeddings.word_embeddings.weight
            everywhere[Axis.WIDTH] = basis = principal_basis(states, words, width=to.dim)
            deviations = states - states.mean(-1, keepdims=True)
            share = ((deviations @ basis) ** 2).sum() / ((deviations**2).sum() or 1.0)
            gain = math.sqrt(share * config.dim / to.dim)
        else:
            everywhere[Axis.WIDTH] = _greatest(_readings(config, weights, states), to.dim)
    # A score is divided by the square root of the heads' width.
    query_scale = math.sqrt(to.dim // to.n_heads / (config.dim // config.n_heads))
    layers = weights.distilbert.transformer.layer
    blocks = [_inside(getattr(layers, str(i)), config, to) for i in range(config.n_layers)]

    kept = {}
    for parameter in manifest(config, Head.MASKED_LM):
        if parameter.tied_to:
            continue
        layer = parameters.layer_of(parameter.key.removeprefix(parameters.base_prefix(config)))
        cut = everywhere if layer is None else {**everywhere, **blocks[layer]}
        array = _shorter(arrays[parameter.key], parameter, cut)
        if Axis.QUERIES in parameter.axes and query_scale != 1:
            array = array * query_scale
        if parameter.role is Role.NORM_SCALE and gain != 1:
            array = array * gain
        kept[parameter.key] = array.astype(arrays[parameter.key].dtype, copy=False)
    return kept


def sample_states(
    config: EncoderConfig, arrays: Mapping[str, Array], ids: Array, mask: Array | None = None
) -> Array:
    """Hidden states [L + 1, T, D] of a model, by which to choose coordinates, slowly and without a framework.

    Args:
        config: the model's configuration.
        arrays: its arrays by key.
        ids: [B, S], of which the first ``SAMPLE_ROWS`` and ``SAMPLE_LENGTH`` are looked at.
        mask: [B, S], 1 for live tokens; None means all are.
    """
    ids = ids[:SAMPLE_ROWS, : min(SAMPLE_LENGTH, config.max_position_embeddings)]
    live = np.ones(ids.shape, bool) if mask is None else mask[: ids.shape[0], : ids.shape[1]].astype(bool)
    return np.stack([states[live] for states in reference.encode(config, arrays, ids, live).hidden_states])


def principal_basis(*several: Array, width: int) -> Array:
    """An orthonormal basis [D, d] of the principal components of rows.

    It leads the vector of d equal numbers to the vector of D equal numbers, so that subtracting a row's mean
    commutes with it. Its other d - 1 directions are the principal components of the rows without their means:
    no other basis of this kind comes nearer to them (Eckart and Young 1936). Within that space it is turned
    as near as it goes (Procrustes) to those coordinates of the rows that lie in it most; a basis of all is
    the identity.

    Args:
        several: rows [..., D]; each array has the same weight.
        width: d.
    """
    wide = several[0].shape[-1]
    moments = np.zeros((wide, wide))
    for rows in several:
        rows = rows.reshape(-1, wide).astype(np.float64)
        moments += rows.T @ rows / ((rows**2).sum() or 1.0)
    level, narrow_level = _level(wide), _level(width)
    vectors = np.linalg.eigh(level.T @ moments @ level)[1]  # the greatest last
    principal = level @ vectors[:, ::-1][:, : width - 1]
    near = _greatest((principal**2).sum(1), width)
    left, _, right = np.linalg.svd(principal[near].T @ narrow_level)
    return principal @ left @ right @ narrow_level.T + 1 / math.sqrt(wide * width)


def _level(width: int) -> Array:
    """An orthonormal basis [D, D - 1] of the vectors whose numbers add up to nothing."""
    return np.linalg.qr(np.eye(width) - 1 / width)[0][:, :-1]


def _greatest(scores: Array, count: int) -> Array:
    """The places of the greatest scores, in their order; of equal ones the first."""
    return np.sort(np.argsort(-scores, kind="stable")[:count])


def _shorter(array: Array, parameter: Parameter, cut: _Cut) -> Array:
    for axis, counted in enumerate(parameter.axes):
        how = cut.get(counted)
        if how is None:
            continue
        if how.ndim == 1:
            array = np.take(array, how, axis)
        else:
            # A gain is no vector but a diagonal: of a turned one the diagonal is kept.
            matrix = how**2 if parameter.role is Role.NORM_SCALE else how
            array = np.moveaxis(np.tensordot(array.astype(np.float64), matrix, (axis, 0)), -1, axis)
    return array


def _readings(config: DistilBertConfig, weights: SimpleNamespace, states: Array) -> Array:
    """How much each coordinate is read, [D]: its shares of what reaches all that reads states, added up."""
    base = weights.distilbert
    present = (states**2).mean(0)
    blocks = [getattr(base.transformer.layer, str(i)) for i in range(config.n_layers)]
    kernels = [weights.vocab_transform.weight, *(block.ffn.lin1.weight for block in blocks)]
    for block in blocks:
        heads = block.attention
        kernels += [heads.q_lin.weight, heads.k_lin.weight, heads.v_lin.weight]
    read = [present * _norms(kernel, 0) ** 2 for kernel in kernels]
    # The table of words reads what the head's LayerNorm writes, which the states do not show.
    tied = config.tie_word_embeddings
    table = base.embeddings.word_embeddings if tied else weights.vocab_projector
    last = weights.vocab_layer_norm
    written = np.hypot(last.weight.astype(np.float64), last.bias.astype(np.float64))
    read.append((written * _norms(table.weight, 0)) ** 2)
    return sum((shares / (shares.sum() or 1.0) for shares in read), np.zeros(config.dim))


def _inside(block: SimpleNamespace, config: DistilBertConfig, to: DistilBertConfig) -> _Cut:
    """Which neurons of a block stay, and which coordinates of which heads."""
    cut: _Cut = {}
    if to.hidden_dim < config.hidden_dim:
        neurons = _norms(block.ffn.lin1.weight, 1) * _norms(block.ffn.lin2.weight, 0)
        cut[Axis.NEURONS] = _greatest(neurons, to.hidden_dim)
    if (to.dim, to.n_heads) == (config.dim, config.n_heads):
        return cut
    heads = block.attention
    width, new_width = config.dim // config.n_heads, to.dim // to.n_heads
    asked = np.hypot(_norms(heads.q_lin.weight, 1), heads.q_lin.bias.astype(np.float64))
    queries = asked * _norms(heads.k_lin.weight, 1)
    values = _norms(heads.v_lin.weight, 1) * _norms(heads.out_lin.weight, 0)
    whole = _greatest((values**2).reshape(-1, width).sum(1), to.n_heads)
    for axes, scores in (((Axis.QUERIES, Axis.KEYS), queries), ((Axis.VALUES,), values)):
        within = [head * width + _greatest(scores.reshape(-1, width)[head], new_width) for head in whole]
        cut.update(dict.fromkeys(axes, np.concatenate(within)))
    return cut


def _norms(kernel: Array, axis: int) -> Array:
    return np.linalg.norm(kernel.astype(np.float64), axis=axis)
