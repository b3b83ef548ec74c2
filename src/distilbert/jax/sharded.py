"""A model over several devices: its parameters in parts, and batches by their rows.

What is split says the manifest, whose axes have meanings: heads, neurons and words are independent of each
other, so that each device computes some of them, and sums are made where blocks end (Shoeybi et al. 2019,
section 3). JAX works out the rest: a compiled function takes the arrays as they lie.
"""

from typing import TypeVar

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from distilbert.core.config import EncoderConfig
from distilbert.core.parameters import Axis
from distilbert.errors import ConfigError
from distilbert.jax.loading import places, variable
from distilbert.jax.pretrained import PreTrainedModel

Tree = TypeVar("Tree")

_BY_HEADS = (Axis.QUERIES, Axis.KEYS, Axis.VALUES)
_SPLIT = (*_BY_HEADS, Axis.NEURONS, Axis.VOCABULARY)


def shard(model: PreTrainedModel, mesh: Mesh, *, axis: str = "model") -> None:
    """Lay a model's parameters over the devices of a mesh.

    Each array has its heads, neurons or words split over the devices of one axis of the mesh, where their
    number divides, and is copied along the others; what has none of these is copied to all.

    Args:
        model: its parameters stay where they are in it, as arrays that lie on several devices.
        mesh: of devices.
        axis: of the mesh.

    Raises:
        ConfigError: the mesh has no such axis, or wants every array's place spelled out.
    """
    count = _devices(mesh, axis)
    leaves, own = model._leaves(), places(model.manifest)
    for parameter in model.manifest:
        if parameter.tied_to:
            continue
        spec = [
            axis if _splits(kind, size, count, model.config) else None
            for kind, size in zip(parameter.axes, parameter.shape, strict=True)
        ]
        place = own[parameter.key]
        spec = spec[::-1] if place.turned else spec
        lying = jax.device_put(leaves[parameter.key], NamedSharding(mesh, PartitionSpec(*spec)))
        variable(model, place).set_value(lying)


def spread(batch: Tree, mesh: Mesh, *, axis: str = "data") -> Tree:
    """A batch's arrays, in whatever tree, with their rows spread over the devices of one axis of a mesh.

    Args:
        batch: arrays whose first axis is rows, as many as the devices divide.
        mesh: of devices.
        axis: of the mesh.

    Raises:
        ConfigError: the mesh has no such axis, or the rows do not divide.
    """
    count = _devices(mesh, axis)
    for array in jax.tree.leaves(batch):
        if array.shape[0] % count:
            raise ConfigError(
                "Rows are spread evenly: their number must be a multiple of the devices'.",
                received=f"{array.shape[0]} rows for {count} devices",
                remedy="Give another batch size; rows with attention_mask 0 throughout count for nothing.",
            )
    return jax.device_put(batch, NamedSharding(mesh, PartitionSpec(axis)))


def _devices(mesh: Mesh, axis: str) -> int:
    if axis not in mesh.shape:
        raise ConfigError(
            "The axis must be one of the mesh's.",
            received=f"axis={axis!r}, of {', '.join(map(repr, mesh.shape)) or 'none'}",
            remedy="Name the axis that there is, or make a mesh that has it.",
        )
    if AxisType.Explicit in mesh.axis_types:
        raise ConfigError(
            "The mesh must leave it to JAX where arrays in between lie.",
            received="axes of the type Explicit",
            remedy="Make it with jax.make_mesh(shape, names, axis_types=(AxisType.Auto,) * len(names)).",
        )
    return int(mesh.shape[axis])


def _splits(kind: Axis, size: int, count: int, config: EncoderConfig) -> bool:
    """Whether what an axis counts can be divided among so many devices."""
    whole = config.dim // config.n_heads if kind in _BY_HEADS else 1
    return kind in _SPLIT and size % (whole * count) == 0
