"""What every model class has: initial weights, folders in and folders out."""

import logging
import os
import warnings
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np

from distilbert.core.checkpoint import LoadReport, file_names, listed, match, refuse_hollow, write_weights
from distilbert.core.config import EncoderConfig
from distilbert.core.hub import Part, hub_keywords, local_folder
from distilbert.core.opening import changed, chosen_config, refuse_other_config
from distilbert.core.output import filling
from distilbert.core.parameters import manifest
from distilbert.core.publishing import Publishable
from distilbert.core.weight_files import MAX_SHARD_BYTES, Arrays, Weights, byte_count
from distilbert.errors import ConfigError
from distilbert.keras import pytrees as _pytrees  # noqa: F401  # outputs pass through what takes trees
from distilbert.keras.fitting import Fitted
from distilbert.keras.loading import arrays_of, as_held, chosen_policy, drawn, places, variable
from distilbert.keras.modules import Policy

logger = logging.getLogger(__name__)


class PreTrainedModel(Fitted, Publishable):
    """A model that knows its parameters by the manifest and its folder by the published format.

    Args:
        config: its sizes.
        seed: of its initial weights, and of what it drops in training; None takes Keras' own, which
            ``keras.utils.set_random_seed`` sets.
        dtype: a policy of Keras' or its name: what to compute and to keep parameters in. None takes the one
            that ``keras.config.set_dtype_policy`` sets.
        name: of the model, which the paths of its variables begin with.
        trainable: whether it learns.
    """

    _has_weights = True
    config_class: ClassVar[type[EncoderConfig]]
    #: The attribute that a model with a head has its encoder under; a base model has none of that name.
    base_model_prefix: ClassVar[str]

    def __init__(
        self,
        config: EncoderConfig,
        *,
        seed: int | None = None,
        dtype: Policy = None,
        name: str | None = None,
        trainable: bool = True,
        _do_init: bool = True,
        _inside: bool = False,
    ) -> None:
        refuse_other_config(type(self).__name__, self.config_class, config)
        config.check()
        policy = chosen_policy(dtype)
        # Labels, and masks to be added, keep their types; each layer casts what it computes with.
        super().__init__(dtype=policy, name=name, trainable=trainable, autocast=False)
        self._fields = config if _inside else copy(config)
        self.name_or_path = ""
        self._make(self._fields, policy)
        if _inside:
            return  # the model around it builds it, within its own name
        self.seeds = keras.random.SeedGenerator(seed)
        self.build()
        if _do_init:
            self._draw(set(places(self.manifest)))

    def _make(self, config: EncoderConfig, policy: Policy) -> None:
        """Make its layers, hollow."""
        raise NotImplementedError

    @property
    def config(self) -> EncoderConfig:
        """Its own: what is changed of a model later, such as its sizes, is changed of no other one."""
        return self._fields

    def share(self, other: "PreTrainedModel") -> None:
        """Have the configuration of the model that this one is a part of."""
        self._fields = other._fields

    @property
    def base_model(self) -> "PreTrainedModel":
        """The encoder, of a model with a head; else the model itself."""
        return self.encoder

    def get_config(self) -> dict[str, Any]:
        """What ``from_config`` makes the same model of, without its weights."""
        fields = {**self.config.to_dict(), "attn_implementation": self.config.attn_implementation}
        modes = {getattr(layer, "quantization_mode", None) for layer in self._flatten_layers()}
        quantized = next(filter(None, modes), None)
        return {**super().get_config(), "config": fields, **({"quantized": quantized} if quantized else {})}

    @classmethod
    def from_config(cls, config: Any, custom_objects: Any = None, **kwargs: Any) -> Any:
        """A model without weights of a folder, of its configuration or of what ``get_config`` gave."""
        if isinstance(config, EncoderConfig):
            return cls(config, **kwargs)
        settings = {**config, **kwargs}
        fields = dict(settings.pop("config", {}))
        chosen = {name: fields.pop(name) for name in ("attn_implementation",) if name in fields}
        quantized = settings.pop("quantized", None)
        model = cls(cls.config_class.from_dict(fields, **chosen), **settings)
        if quantized:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # Keras names what it leaves, as it did before
                model.quantize(quantized)
        return model

    def _draw(self, wanted: set[str]) -> None:
        """Draw first numbers of some parameters; the same seed gives the same ones on every backend."""
        seed = self.seeds.get_config()["seed"]
        if seed is None:
            seed = int(keras.random.randint((), 0, 2**31 - 1))
        own = places(self.manifest)
        for i, parameter in enumerate(self.manifest):
            if parameter.key in wanted and parameter.key in own:
                array = drawn(parameter, self.config, np.random.default_rng((seed, i)))
                variable(self, own[parameter.key]).assign(as_held(array, own[parameter.key]))

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        config: EncoderConfig | str | Path | None = None,
        dtype: Policy = None,
        seed: int | None = None,
        name: str | None = None,
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
            config: the configuration, or the folder of one; by default the folder's own.
            dtype, seed, name: as the constructor's.
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
            # Before there is a model, whose making costs.
            _, report = match(
                source,
                manifest(own, cls.head),
                own,
                source=str(folder),
                ignore_mismatched=ignore_mismatched_sizes,
            )
            refuse_hollow(report, manifest(own, cls.head), source.shapes, str(folder))
            model = cls(own, dtype=dtype, seed=seed, name=name, _do_init=False)
            report = model._fill(source, str(folder), ignore_mismatched=ignore_mismatched_sizes)
        model.name_or_path = str(pretrained_model_name_or_path)
        model.config.dtype = model.variable_dtype
        if report.drawn_anew:
            logger.warning(
                "%s holds no weights for %s: they are drawn anew and must be trained.",
                folder,
                listed(file_names(report.drawn_anew, model.manifest)),
            )
            model._draw(set(report.drawn_anew))
        return (model, report) if output_loading_info else model

    def _fill(
        self, source: Weights, name: str, *, ignore_mismatched: bool = False, skip: Collection[str] = ()
    ) -> LoadReport:
        """Take what a file holds of the parameters, but of those to skip; the others keep what they have."""
        wanted = tuple(parameter for parameter in self.manifest if parameter.key not in skip)
        found, report = match(source, wanted, self.config, source=name, ignore_mismatched=ignore_mismatched)
        own, cast = places(self.manifest), {}
        for key, called in found.items():
            array, held = source[called], variable(self, own[key])
            held.assign(as_held(array, own[key]).astype(held.dtype))
            if array.dtype.name != held.dtype:
                cast[key] = array.dtype.name
        return replace(report, cast=cast)

    @contextmanager
    def computing_in(self, policy: Policy) -> Iterator[None]:
        """Inside, the model computes by another policy, over the same parameters."""
        layers = list(self._flatten_layers(include_self=True, recursive=True))
        before = [layer.dtype_policy for layer in layers]
        chosen = chosen_policy(policy)
        try:
            for layer in layers:
                layer.dtype_policy = chosen
            yield
        finally:
            for layer, own in zip(layers, before, strict=True):
                layer.dtype_policy = own

    def load(self, folder: str | Path) -> LoadReport:
        """Take the folder's weights; those that are missing keep what they have."""
        with Weights(folder) as file:
            return self._fill(file, str(folder))

    def assign(self, arrays: Arrays) -> None:
        """Take arrays by key, as files hold them; the others keep what they have."""
        own = places(self.manifest)
        for key, array in arrays.items():
            held = variable(self, own[key])
            held.assign(as_held(array, own[key]).astype(held.dtype))

    def arrays(self) -> Arrays:
        """The parameters as numpy arrays, by key, as files hold them; a tied one stands once.

        Raises:
            ConfigError: some were quantised.
        """
        return arrays_of(self, self.manifest)

    def save_pretrained(
        self,
        save_directory: str | Path,
        push_to_hub: bool = False,
        max_shard_size: int | str = MAX_SHARD_BYTES,
        safe_serialization: bool = True,
        token: str | bool | None = None,
        **pushing: Any,
    ) -> None:
        """Write ``config.json`` and ``model.safetensors`` into a folder: both, or on a full disk neither.

        The folder is the one that every wing reads; ``tf_model.h5`` is written by ``convert``.

        Args:
            save_directory: the folder; made where it is missing.
            push_to_hub: send the files to a hub, too.
            max_shard_size: of a file, in bytes or as in "5GB", above which the weights are written in
                shards, with an index.
            safe_serialization: True; other kinds of files are written by ``convert``.
            token: of who is sending to the hub.
            **pushing: how: ``repo_id`` and the other arguments of ``push_to_hub``.

        Raises:
            ConfigError: the configuration breaks a rule across fields, or an argument; or quantised weights.
            OutputError: the folder cannot be written, or the hub does not take it.
        """
        if not safe_serialization:
            raise ConfigError(
                "Models are saved as safetensors.",
                received="safe_serialization=False",
                remedy="Convert the saved folder: distilbert convert --model DIR --to h5 --out OTHER",
            )
        most = byte_count("max_shard_size", max_shard_size)
        arrays = self.arrays()
        self.config.architectures = [type(self).__name__]
        self.config.dtype = next(iter(arrays.values())).dtype.name
        with filling(save_directory) as folder:
            self.config.save_pretrained(folder)
            write_weights(folder, arrays, manifest(self.config, self.head), max_shard_bytes=most)
        how = pushing if token is None else {**pushing, "token": token}
        self._push_saved(save_directory, push_to_hub, {"max_shard_size": most, **how} if push_to_hub else how)
