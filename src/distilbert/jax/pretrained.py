"""What every model class has: initial weights, folders in and folders out."""

import logging
import os
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from distilbert.core.checkpoint import LoadReport, file_names, listed, match, refuse_hollow, write_weights
from distilbert.core.config import EncoderConfig
from distilbert.core.hub import Part, hub_keywords, local_folder
from distilbert.core.opening import changed, chosen_config, refuse_other_config
from distilbert.core.output import filling
from distilbert.core.parameters import manifest
from distilbert.core.publishing import Publishable
from distilbert.core.weight_files import MAX_SHARD_BYTES, Arrays, Weights, byte_count
from distilbert.jax import pytrees as _pytrees  # noqa: F401  # outputs pass through what takes trees
from distilbert.jax.calling import Called
from distilbert.jax.loading import Tree, arrays_of, as_held, chosen_dtype, drawn, leaves_of, nested, places
from distilbert.jax.modules import Array, Kinds

logger = logging.getLogger(__name__)


class _Fields:
    """A configuration as a part of a model's form: two forms are one where their configurations are alike."""

    def __init__(self, config: EncoderConfig) -> None:
        self.config = config

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Fields) and self.config == other.config

    def __hash__(self) -> int:
        return hash(repr(sorted(vars(self.config).items())))


class PreTrainedModel(Called, Publishable):
    """A model that knows its parameters by the manifest and its folder by the published format.

    Args:
        config: its sizes.
        input_shape: accepted and without effect: parameters have their shapes from the configuration.
        seed: of the generator of its initial weights.
        dtype: to compute in.
        _do_init: False draws no weights; parameters are then kept outside and given to each call.
        param_dtype: to keep parameters in.

    Attributes:
        dtype: to compute in.
        param_dtype: that parameters were made in.
    """

    _has_weights = True
    config_class: ClassVar[type[EncoderConfig]]
    #: The attribute that a model with a head has its encoder under; a base model has none of that name.
    base_model_prefix: ClassVar[str]

    def __init__(
        self,
        config: EncoderConfig,
        input_shape: tuple[int, ...] = (1, 1),
        seed: int = 0,
        dtype: Any = jnp.float32,
        _do_init: bool = True,
        *,
        param_dtype: Any = jnp.float32,
    ) -> None:
        refuse_other_config(type(self).__name__, self.config_class, config)
        config.check()
        self._fields = _Fields(copy(config))
        self.dtype = np.dtype(chosen_dtype("dtype", dtype, config, _NOTHING))
        self.param_dtype = np.dtype(chosen_dtype("param_dtype", param_dtype, config, _NOTHING))
        self.deterministic = True
        self.name_or_path = ""
        self._build(self.config, Kinds(self.dtype, self.param_dtype))
        if _do_init:
            self._assign(self._drawn(jax.random.key(seed)))

    def _build(self, config: EncoderConfig, kinds: Kinds) -> None:
        """Make its modules, hollow."""
        raise NotImplementedError

    @property
    def config(self) -> EncoderConfig:
        """Its own: what is changed of a model later, such as its sizes, is changed of no other one."""
        return self._fields.config

    def share(self, other: "PreTrainedModel") -> None:
        """Have the configuration of the model that this one is a part of."""
        self._fields = other._fields

    @property
    def base_model(self) -> "PreTrainedModel":
        """The encoder, of a model with a head; else the model itself."""
        return self.encoder

    def init_weights(
        self, rng: Array, input_shape: tuple[int, ...] = (1, 1), params: Mapping[str, Any] | None = None
    ) -> Tree:
        """A tree of parameters, drawn, or one that lacks some completed; the model's own stay.

        Args:
            rng: the key to draw by.
            input_shape: accepted and without effect.
            params: what there is.
        """
        there = {} if params is None else leaves_of(params, self.manifest, partly=True)
        own = places(self.manifest)
        every = {**self._drawn(rng, set(own) - set(there)), **there}
        return nested({own[key].name: every[key] for key in own})

    def _drawn(self, key: Array, wanted: set[str] | None = None) -> dict[str, Array]:
        """First numbers of all parameters, or of the wanted, by key; each has a key of its own number."""
        own = places(self.manifest)
        return {
            p.key: drawn(p, self.config, own[p.key], jax.random.fold_in(key, i), self.param_dtype)
            for i, p in enumerate(self.manifest)
            if p.key in own and (wanted is None or p.key in wanted)
        }

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        dtype: Any = jnp.float32,
        *,
        config: EncoderConfig | str | Path | None = None,
        param_dtype: Any = jnp.float32,
        seed: int = 0,
        input_shape: tuple[int, ...] = (1, 1),
        _do_init: bool = True,
        ignore_mismatched_sizes: bool = False,
        output_loading_info: bool = False,
        use_safetensors: bool | None = None,
        variant: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        revision: str = "main",
        subfolder: str = "",
        **changes: Any,
    ) -> Any:
        """A model from its folder or from a hub. Every published kind of file is read.

        Args:
            pretrained_model_name_or_path: the folder, with ``config.json`` and the weights, or ``name`` or
                ``owner/name`` on a hub. A base model's weights serve a model with a head and the reverse;
                weights that are missing are drawn anew, with a warning.
            dtype: to compute in.
            config: the configuration, or the folder of one; by default the folder's own.
            param_dtype: to keep parameters in; "auto" is the configuration's or the file's.
            seed: of the generator of weights that are drawn anew.
            input_shape: accepted and without effect.
            _do_init: False returns the model, which then keeps no parameters, and their tree, which lacks
                those that the file lacks (``init_weights``).
            ignore_mismatched_sizes: draw weights anew whose shape is another, instead of refusing.
            output_loading_info: return the ``LoadReport`` too.
            use_safetensors: True reads no other kind of file, False only other kinds.
            variant: of the files, such as "fp16" of ``model.fp16.safetensors``.
            cache_dir, force_download, local_files_only, token, revision, subfolder: as ``local_folder``.
            **changes: fields of the configuration to change, such as ``num_labels`` or
                ``attn_implementation``.

        Raises:
            CheckpointError: a file is missing or damaged, or shapes do not fit; all are listed.
            ConfigError: the folder is another model's, or a keyword means nothing here.
        """
        older, changes = hub_keywords(changes)
        where: dict[str, Any] = {
            "cache_dir": cache_dir,
            "force_download": force_download,
            "local_files_only": local_files_only,
            "token": token,
            "revision": revision,
            **older,
        }
        parts = [*([Part.CONFIG] if config is None else []), Part.WEIGHTS]
        folder = local_folder(
            pretrained_model_name_or_path,
            wanted=parts,
            variant=variant,
            use_safetensors=use_safetensors,
            **{"subfolder": subfolder, **where},
        )
        own = changed(chosen_config(cls.config_class, folder, config, where), changes)
        with ExitStack() as opened:
            source = opened.enter_context(Weights(folder, variant=variant, use_safetensors=use_safetensors))
            param_dtype = chosen_dtype("param_dtype", param_dtype, own, source)
            model = cls(own, dtype=dtype, param_dtype=param_dtype, _do_init=False)
            leaves, report = model._read(source, str(folder), ignore_mismatched=ignore_mismatched_sizes)
        model.name_or_path = str(pretrained_model_name_or_path)
        model.config.dtype = model.param_dtype.name
        if report.drawn_anew:
            logger.warning(
                "%s holds no weights for %s: they are drawn anew and must be trained.",
                folder,
                listed(file_names(report.drawn_anew, model.manifest)),
            )
        if not _do_init:
            at = places(model.manifest)
            params = nested({at[key].name: leaf for key, leaf in leaves.items()})
            return (model, params, report) if output_loading_info else (model, params)
        model._assign({**leaves, **model._drawn(jax.random.key(seed), set(report.drawn_anew))})
        return (model, report) if output_loading_info else model

    def _read(
        self, source: Weights, name: str, *, ignore_mismatched: bool = False, skip: Collection[str] = ()
    ) -> tuple[dict[str, Array], LoadReport]:
        """What a file holds of the parameters, by key, and what became of every key that is not skipped."""
        wanted = tuple(parameter for parameter in self.manifest if parameter.key not in skip)
        found, report = match(source, wanted, self.config, source=name, ignore_mismatched=ignore_mismatched)
        refuse_hollow(report, self.manifest, source.shapes, name)
        own, leaves, cast = places(self.manifest), {}, {}
        for key, called in found.items():
            array = source[called]
            leaves[key] = as_held(array, own[key], self.param_dtype)
            if array.dtype != self.param_dtype:
                cast[key] = array.dtype.name
        return leaves, replace(report, cast=cast)

    @property
    def device(self) -> Any:
        """That its parameters lie on; of several the first."""
        leaf = next(iter(self._leaves().values()))
        return min(leaf.devices(), key=lambda device: device.id)

    def computing_in(self, dtype: Any) -> Self:
        """This model, or one over the same parameters that computes in another type."""
        if self.dtype == np.dtype(dtype):
            return self
        twin = nnx.merge(*nnx.split(self))
        for _, module in nnx.iter_modules(twin):
            if hasattr(module, "dtype"):
                module.dtype = np.dtype(dtype)
        return twin

    def with_leaves(self, leaves: Mapping[str, Array]) -> Self:
        """This model with other parameters, all of them by key, which may be traced."""
        graphdef, state = nnx.split(self)
        keys = {place.name: key for key, place in places(self.manifest).items()}
        filled = [
            (path, held.replace(leaves[keys["/".join(map(str, path))]]))
            for path, held in nnx.to_flat_state(state)
        ]
        return nnx.merge(graphdef, nnx.from_flat_state(filled))

    def load(self, folder: str | Path) -> LoadReport:
        """Take the folder's weights; those that are missing keep what they have."""
        with Weights(folder) as file:
            leaves, report = self._read(file, str(folder))
        self._assign(leaves)
        return report

    def assign(self, arrays: Arrays) -> None:
        """Take arrays by key, as files hold them; the others keep what they have."""
        own = places(self.manifest)
        self._assign({key: as_held(array, own[key], self.param_dtype) for key, array in arrays.items()})

    def arrays(self) -> Arrays:
        """The parameters as numpy arrays, by key, as files hold them; a tied one stands once."""
        self._refuse_hollow("written")
        return arrays_of(self._leaves(), self.manifest)

    def save_pretrained(
        self,
        save_directory: str | Path,
        params: Mapping[str, Any] | None = None,
        push_to_hub: bool = False,
        max_shard_size: int | str = MAX_SHARD_BYTES,
        token: str | bool | None = None,
        safe_serialization: bool = True,
        **pushing: Any,
    ) -> None:
        """Write ``config.json`` and ``model.safetensors`` into a folder: both, or on a full disk neither.

        The folder is the one that every wing reads; Flax's own kind of file is written by ``convert``.

        Args:
            save_directory: the folder; made where it is missing.
            params: a tree like ``model.params``, to write in the place of the model's own.
            push_to_hub: send the files to a hub, too.
            max_shard_size: of a file, in bytes or as in "5GB", above which the weights are written in
                shards, with an index.
            token: of who is sending to the hub.
            safe_serialization: accepted: there is no other kind to write.
            **pushing: how: ``repo_id`` and the other arguments of ``push_to_hub``.

        Raises:
            ConfigError: the configuration breaks a rule across fields, or an argument.
            OutputError: the folder cannot be written, or the hub does not take it.
        """
        most = byte_count("max_shard_size", max_shard_size)
        arrays = (
            self.arrays() if params is None else arrays_of(leaves_of(params, self.manifest), self.manifest)
        )
        self.config.architectures = [type(self).__name__]
        self.config.dtype = next(iter(arrays.values())).dtype.name
        with filling(save_directory) as folder:
            self.config.save_pretrained(folder)
            write_weights(folder, arrays, manifest(self.config, self.head), max_shard_bytes=most)
        chosen = {"max_shard_size": most, "params": params}
        how = pushing if token is None else {**pushing, "token": token}
        self._push_saved(save_directory, push_to_hub, {**chosen, **how} if push_to_hub else how)


class _Nothing:
    """In the place of a file, where there is none."""

    shapes: ClassVar[Mapping[str, tuple[int, ...]]] = {}


_NOTHING = _Nothing()
