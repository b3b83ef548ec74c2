"""What every model class has: initial weights, tied ones, folders in and folders out."""

import logging
import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from distilbert.core.checkpoint import LoadReport, file_names, listed, match, refuse_hollow, write_weights
from distilbert.core.config import EncoderConfig
from distilbert.core.hub import Part, hub_keywords, local_folder
from distilbert.core.opening import changed, chosen_config, refuse_other_config
from distilbert.core.output import filling
from distilbert.core.parameters import (
    POSITION_EMBEDDINGS,
    WORD_EMBEDDINGS,
    Head,
    Parameter,
    Role,
    base_prefix,
    manifest,
)
from distilbert.core.publishing import Publishable
from distilbert.core.weight_files import MAX_SHARD_BYTES, Arrays, Weights, byte_count
from distilbert.errors import ConfigError
from distilbert.torch import pytrees as _pytrees  # noqa: F401  # outputs pass through what takes trees
from distilbert.torch.adjustable import Adjustable
from distilbert.torch.embeddings import sinusoids
from distilbert.torch.loading import StateDict, arrays_to_save, chosen_device, chosen_dtype, fill
from distilbert.torch.published import Published
from distilbert.torch.tensors import as_array, as_tensor

logger = logging.getLogger(__name__)


class PreTrainedModel(Published, Adjustable, Publishable):
    """A model that knows its parameters by the manifest and its folder by the published format."""

    _has_weights = True
    config_class: ClassVar[type[EncoderConfig]]
    #: The attribute that a model with a head has its encoder under; a base model has none of that name.
    base_model_prefix: ClassVar[str]

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        refuse_other_config(type(self).__name__, self.config_class, config)
        config.check()
        self.register_state_dict_post_hook(_without_ties)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_with_ties)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_post_hook(_tied_again)  # type: ignore[no-untyped-call]

    @property
    def base_model(self) -> "PreTrainedModel":
        """The encoder, of a model with a head; else the model itself."""
        return self.encoder

    def extra_repr(self) -> str:
        config, base = self.config, cast(Any, self.base_model)
        return (
            f"{config.n_layers} layers of {config.n_heads} heads, width {config.dim}, "
            f"{self.num_parameters():,} parameters in {_name(self.dtype)} on {self.device}, "
            f"{base._attentions[0].implementation}"
        )

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        # What replaces parameters, as to_empty() does, does so once for each of their names.
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.tie_weights()
        return self

    def initialise(self) -> None:
        """Draw this class's own weights; inside a model with a head the encoder has drawn its own."""
        inside = base_prefix(self.config) if self.head is not Head.NONE else None
        self._draw([p for p in self.manifest if not (inside and p.key.startswith(inside))])

    def _draw(self, parameters: Iterable[Parameter]) -> None:
        """Draw weights: N(0, ``initializer_range``), zeros and ones.

        Devlin et al. 2019 draw from a truncated normal; the published code of DistilBERT draws from a plain
        one, and so does this.
        """
        tensors = dict(self.named_parameters())
        with torch.no_grad():
            for parameter in parameters:
                if parameter.tied_to:
                    continue
                tensor = tensors[parameter.key]
                if parameter.role in (Role.KERNEL, Role.EMBEDDING):
                    tensor.normal_(0.0, self.config.initializer_range)
                else:
                    tensor.fill_(1.0 if parameter.role is Role.NORM_SCALE else 0.0)
                if parameter.key.endswith(WORD_EMBEDDINGS):
                    tensor[self.config.pad_token_id] = 0.0
                sinusoidal = getattr(self.config, "sinusoidal_pos_embds", False)
                if parameter.key.endswith(POSITION_EMBEDDINGS) and sinusoidal:
                    tensor.copy_(sinusoids(*parameter.shape))
                    tensor.requires_grad_(False)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path | None,
        *,
        config: EncoderConfig | str | Path | None = None,
        state_dict: Mapping[str, Tensor] | None = None,
        dtype: torch.dtype | str | None = None,
        torch_dtype: torch.dtype | str | None = None,
        device_map: Any = None,
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
        """A model from its folder or from a hub, in eval mode. The weights are never in memory twice.

        Args:
            pretrained_model_name_or_path: the folder, with ``config.json`` and the weights, or ``name`` or
                ``owner/name`` on a hub. A base model's weights serve a model with a head and the
                reverse; weights that are missing are drawn anew, with a warning. None reads none: then
                ``config`` is needed.
            config: the configuration, or the folder of one; by default the folder's own.
            state_dict: tensors by their published names, instead of the folder's weights.
            dtype: of the parameters, as a type or its name; None means float32, "auto" the configuration's
                or the file's.
            torch_dtype: the older name of ``dtype``.
            device_map: where the model is to be: "auto", a device, or ``{"": device}``.
            ignore_mismatched_sizes: draw weights anew whose shape is another, instead of refusing.
            output_loading_info: return the ``LoadReport`` too.
            use_safetensors: True reads no other kind of file, False only other kinds.
            variant: of the files, such as "fp16" of ``model.fp16.safetensors``.
            cache_dir: in place of the hub client's own cache.
            force_download: fetch what the cache holds, too.
            local_files_only: ask no hub.
            token: of who is asking the hub.
            revision: a branch, tag or commit on the hub.
            subfolder: inside the folder or the repository.
            **changes: fields of the configuration to change, such as ``num_labels``, ``id2label``,
                ``problem_type`` or ``attn_implementation``.

        Raises:
            CheckpointError: a file is missing or damaged, or shapes do not fit; all are listed.
            ConfigError: the folder is another model's, or a keyword means nothing here.
        """
        folder = pretrained_model_name_or_path
        from_source = state_dict is None and folder is not None
        older, changes = hub_keywords(changes)
        where: dict[str, Any] = {
            "cache_dir": cache_dir,
            "force_download": force_download,
            "local_files_only": local_files_only,
            "token": token,
            "revision": revision,
            **older,
        }
        if folder is not None:
            parts = [*([Part.CONFIG] if config is None else []), *([Part.WEIGHTS] if from_source else [])]
            folder = local_folder(
                folder,
                wanted=parts,
                variant=variant,
                use_safetensors=use_safetensors,
                **{"subfolder": subfolder, **where},
            )
        own = changed(chosen_config(cls.config_class, folder, config, where), changes)
        with ExitStack() as opened:
            source: Any = StateDict({} if state_dict is None else state_dict)
            if folder is not None and from_source:
                source = opened.enter_context(
                    Weights(folder, variant=variant, use_safetensors=use_safetensors)
                )
            name = str(folder) if from_source else "state_dict"
            parameters = manifest(own, cls.head)
            places, report = match(
                source, parameters, own, source=name, ignore_mismatched=ignore_mismatched_sizes
            )
            refuse_hollow(report, parameters, source.shapes, name)
            kind = chosen_dtype(torch_dtype if dtype is None else dtype, own, source)
            model = cls._empty(own, kind, chosen_device(device_map))
            model.config.dtype = _name(kind)
            report = replace(report, cast=fill(model, source, places))
        model._draw([p for p in parameters if p.key in set(report.drawn_anew)])
        if report.drawn_anew and (from_source or state_dict is not None):
            logger.warning(
                "%s holds no weights for %s: they are drawn anew and must be trained.",
                name,
                listed(file_names(report.drawn_anew, parameters)),
            )
        model.name_or_path = str(pretrained_model_name_or_path or "")
        model.eval()
        return (model, report) if output_loading_info else model

    @classmethod
    def _empty(cls, config: EncoderConfig, dtype: torch.dtype, device: torch.device) -> Any:
        """A model whose numbers are whatever the memory held: all of them have yet to be set."""
        with torch.device("meta"):
            model = cls(config)
        model._refuse_what_no_folder_holds()
        return model.to(dtype).to_empty(device=device)

    def load(self, folder: str | Path, *, dtype: torch.dtype, skip: tuple[Parameter, ...] = ()) -> LoadReport:
        """Take the folder's weights; those that are missing, or to be skipped, keep what they have."""
        wanted = tuple(p for p in self.manifest if p not in skip)
        self.to(dtype)
        with Weights(folder) as file:
            places, report = match(file, wanted, self.config, source=str(folder))
            return replace(report, cast=fill(self, file, places))

    def assign(self, arrays: Arrays) -> None:
        """Put float32 arrays, by key, in the place of the parameters."""
        self.to(torch.float32)
        fill(
            self, StateDict({key: as_tensor(array) for key, array in arrays.items()}), {k: k for k in arrays}
        )

    def arrays(self) -> Arrays:
        """The parameters as numpy arrays, by key; a tied one stands once."""
        self._refuse_what_no_folder_holds()
        tensors = dict(self.named_parameters())
        return {p.key: as_array(tensors[p.key]) for p in self.manifest if not p.tied_to}

    def _refuse_what_no_folder_holds(self) -> None:
        """Refuse arrays that a published file has no name for, lacks, or has in another shape or untied.

        They would be lost, or be drawn anew, or be read as others, without a word.
        """
        tensors = dict(self.named_parameters(remove_duplicate=False))
        wanted = {parameter.key: parameter for parameter in self.manifest}
        others = [name for name in (*tensors, *dict(self.named_buffers())) if name not in wanted]
        for key, parameter in wanted.items():
            if key not in tensors:
                others.append(f"no {key}")
            elif tuple(tensors[key].shape) != parameter.shape:
                others.append(f"{key} {list(tensors[key].shape)} in the place of {list(parameter.shape)}")
            elif parameter.tied_to and tensors[key] is not tensors.get(parameter.tied_to):
                others.append(f"{key}, which the configuration calls tied, and is not")
        if others:
            raise ConfigError(
                "A folder holds the parameters that the published classes have.",
                received=listed(others),
                remedy="Save adapters through their own library, or merge them first; keep layers of your "
                "own in a module that holds this model, and save that module's state_dict().",
            )

    def save_pretrained(
        self,
        save_directory: str | Path,
        is_main_process: bool = True,
        state_dict: Mapping[str, Tensor] | None = None,
        save_function: Any = None,
        push_to_hub: bool = False,
        max_shard_size: int | str = MAX_SHARD_BYTES,
        safe_serialization: bool = True,
        variant: str | None = None,
        token: str | bool | None = None,
        save_peft_format: bool = True,
        **pushing: Any,
    ) -> None:
        """Write ``config.json`` and ``model.safetensors`` into a folder: both, or on a full disk neither.

        Args:
            save_directory: the folder; made where it is missing.
            is_main_process: False does nothing, so that of several processes one writes.
            state_dict: tensors to write instead of the model's own, all of them or some; a launcher of
                several processes has gathered them.
            save_function: accepted and without effect: how pickles are written.
            push_to_hub: send the files to a hub, too.
            max_shard_size: of a file, in bytes or as in "5GB", above which the weights are written in
                shards, with an index.
            safe_serialization: True; other kinds of files are written by ``convert``.
            variant: of the file's name, such as "fp16" of ``model.fp16.safetensors``.
            token: of who is sending to the hub.
            save_peft_format: accepted and without effect: adapters are saved by their library.
            **pushing: how: ``repo_id`` and the other arguments of ``push_to_hub``.

        Raises:
            CheckpointError: ``state_dict`` has tensors of other shapes or names.
            ConfigError: the configuration breaks a rule across fields, or an argument.
            OutputError: the folder cannot be written, or the hub does not take it.
        """
        if not is_main_process:
            return
        if not safe_serialization:
            raise ConfigError(
                "Models are saved as safetensors.",
                received="safe_serialization=False",
                remedy="Convert the saved folder: distilbert convert --model DIR --to bin --out OTHER",
            )
        most = byte_count("max_shard_size", max_shard_size)
        arrays, dtype = self.arrays(), self.dtype
        if state_dict is not None:
            arrays, dtype = arrays_to_save(state_dict, self.manifest, self.config)
        self.config.architectures = [type(self).__name__]
        self.config.dtype = _name(dtype)
        parameters = [p for p in self.manifest if p.key in arrays]
        with filling(save_directory, variant=variant) as folder:
            self.config.save_pretrained(folder)
            write_weights(folder, arrays, parameters, max_shard_bytes=most, variant=variant)
        # What is sent is what was written: with the same choice.
        chosen = {"max_shard_size": most, "variant": variant, "state_dict": state_dict}
        how = pushing if token is None else {**pushing, "token": token}
        self._push_saved(save_directory, push_to_hub, {**chosen, **how} if push_to_hub else how)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _without_ties(model: PreTrainedModel, state: dict[str, Any], prefix: str, _: Any) -> None:
    """A tied array stands once in a state, as in a file; safetensors refuses one under two names."""
    for parameter in model.manifest:
        if parameter.tied_to and prefix + parameter.tied_to in state:
            state.pop(prefix + parameter.key, None)


def _with_ties(model: PreTrainedModel, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """A state is taken with and without its tied arrays, strictly too."""
    for parameter in model.manifest:
        if parameter.tied_to and prefix + parameter.tied_to in state:
            state[prefix + parameter.key] = state[prefix + parameter.tied_to]


def _tied_again(model: PreTrainedModel, _: Any) -> None:
    """After ``assign=True``, which replaces parameters."""
    model.tie_weights()
