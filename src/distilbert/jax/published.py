"""Published names that scripts and libraries around a model ask it for: its tree of parameters, its size."""

from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from distilbert.core.config import EncoderConfig
from distilbert.core.parameters import Head, Parameter, Role, manifest
from distilbert.errors import ConfigError
from distilbert.jax.loading import Tree, flat, leaves_of, nested, places, variable
from distilbert.jax.modules import Array


class Published(nnx.Module):
    """The part of every model class that answers. ``PreTrainedModel`` is made of it. Abstract."""

    main_input_name: ClassVar[str] = "input_ids"
    framework: ClassVar[str] = "flax"
    head: ClassVar[Head] = Head.NONE

    def __setattr__(self, name: str, value: Any) -> None:
        # Flax would take what a property is set to for an attribute of the module.
        own = isinstance(getattr(type(self), name, None), property)
        if own:
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    @property
    def config(self) -> EncoderConfig:
        raise NotImplementedError

    @property
    def manifest(self) -> tuple[Parameter, ...]:
        """Every parameter of this model, by its key."""
        return manifest(self.config, self.head)

    @property
    def is_hollow(self) -> bool:
        """Whether its parameters have shapes and no numbers: it was made with ``_do_init=False``."""
        return any(isinstance(x, jax.ShapeDtypeStruct) for x in self._leaves().values())

    @property
    def params(self) -> Tree:
        """The parameters as the published tree: nested dictionaries by Flax's names, a layer by its digits.

        Raises:
            ConfigError: read or set, of a model that was made with ``_do_init=False``.
        """
        self._refuse_hollow("read")
        own = places(self.manifest)
        return nested({own[key].name: leaf for key, leaf in self._leaves().items()})

    @params.setter
    def params(self, params: Mapping[str, Any]) -> None:
        self._refuse_hollow("set")
        self._assign(leaves_of(params, self.manifest))

    @property
    def required_params(self) -> set[tuple[str, ...]]:
        """The paths that a tree of parameters must have."""
        return {tuple(place.name.split("/")) for place in places(self.manifest).values()}

    @property
    def params_shape_tree(self) -> Tree:
        """The shapes and types of the tree of parameters."""
        own = places(self.manifest)
        return nested(
            {own[k].name: jax.ShapeDtypeStruct(x.shape, x.dtype) for k, x in self._leaves().items()}
        )

    @classmethod
    def can_generate(cls) -> bool:
        """Whether it writes text. An encoder does not."""
        return False

    @property
    def num_labels(self) -> int:
        return self.config.num_labels

    def num_parameters(self, exclude_embeddings: bool = False) -> int:
        """How many numbers the model has; a tied table counts once.

        Args:
            exclude_embeddings: without the tables of words and positions.
        """
        return sum(
            int(np.prod(parameter.shape))
            for parameter in self.manifest
            if not parameter.tied_to and not (exclude_embeddings and parameter.role is Role.EMBEDDING)
        )

    def to_bf16(self, params: Mapping[str, Any], mask: Any = None) -> Tree:
        """A tree of parameters in bfloat16; ``mask``, a tree of the same form, says True for which."""
        return _cast(params, jnp.bfloat16, mask)

    def to_fp16(self, params: Mapping[str, Any], mask: Any = None) -> Tree:
        """A tree of parameters in float16, as ``to_bf16``."""
        return _cast(params, jnp.float16, mask)

    def to_fp32(self, params: Mapping[str, Any], mask: Any = None) -> Tree:
        """A tree of parameters in float32, as ``to_bf16``."""
        return _cast(params, jnp.float32, mask)

    def _leaves(self) -> dict[str, Array]:
        """What each parameter holds, by key, as Flax has it."""
        return {key: variable(self, place).get_value() for key, place in places(self.manifest).items()}

    def _assign(self, leaves: Mapping[str, Array]) -> None:
        own = places(self.manifest)
        for key, leaf in leaves.items():
            variable(self, own[key]).set_value(jnp.asarray(leaf))

    def _refuse_hollow(self, done: str) -> None:
        if self.is_hollow:
            raise ConfigError(
                "A model made with _do_init=False keeps no parameters.",
                received=f"params, to be {done}",
                remedy="Make them with model.init_weights(key, (1, 1)), keep them, and give them to each "
                "call: model(**batch, params=params).",
            )


def _cast(params: Mapping[str, Any], dtype: Any, mask: Any) -> Tree:
    wanted = None if mask is None else dict(flat(mask))

    def cast(path: str, leaf: Any) -> Any:
        chosen = wanted is None or wanted[path]
        return leaf.astype(dtype) if chosen and jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return nested({path: cast(path, leaf) for path, leaf in flat(params)})
