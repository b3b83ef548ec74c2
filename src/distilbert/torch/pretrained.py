"""What every model class has: initial weights, folders in and folders out."""

import logging
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from distilbert.core.checkpoint import (
    LoadReport,
    file_names,
    listed,
    read_weights,
    survey,
    write_weights,
)
from distilbert.core.config import EncoderConfig
from distilbert.core.parameters import (
    POSITION_EMBEDDINGS,
    WORD_EMBEDDINGS,
    Head,
    Parameter,
    Role,
    base_prefix,
    manifest,
)
from distilbert.core.weight_files import MAX_SHARD_BYTES, Arrays
from distilbert.errors import ConfigError
from distilbert.torch.tensors import as_array, as_tensor

logger = logging.getLogger(__name__)


class PreTrainedModel(nn.Module):
    """A model that knows its parameters by the manifest and its folder by the published format."""

    head: ClassVar[Head] = Head.NONE
    config_class: ClassVar[type[EncoderConfig]]

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        if not isinstance(config, self.config_class):
            raise ConfigError(
                f"{type(self).__name__} is built from a {self.config_class.__name__}.",
                received=f"a {type(config).__name__}",
                remedy=f"Give it a {self.config_class.__name__}, or use from_pretrained(folder).",
            )
        config.check()
        self.config = config

    @property
    def manifest(self) -> tuple[Parameter, ...]:
        """Every parameter of this model, under the keys that ``named_parameters`` has too."""
        return manifest(self.config, self.head)

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def num_parameters(self) -> int:
        """How many numbers the model has; a tied table counts once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def initialise(self) -> None:
        """Draw this class's own weights: N(0, ``initializer_range``), zeros and ones.

        A model with a head leaves its encoder alone, which has drawn its own. Devlin et al. 2019 draw
        from a truncated normal; the published code of DistilBERT draws from a plain one, and so does
        this.
        """
        tensors = dict(self.named_parameters())
        inside = base_prefix(self.config) if self.head is not Head.NONE else None
        with torch.no_grad():
            for parameter in self.manifest:
                if parameter.tied_to or (inside and parameter.key.startswith(inside)):
                    continue
                tensor = tensors[parameter.key]
                if parameter.role in (Role.KERNEL, Role.EMBEDDING):
                    tensor.normal_(0.0, self.config.initializer_range)
                else:
                    tensor.fill_(1.0 if parameter.role is Role.NORM_SCALE else 0.0)
                if parameter.key == WORD_EMBEDDINGS:
                    tensor[self.config.pad_token_id] = 0.0
                sinusoidal = getattr(self.config, "sinusoidal_pos_embds", False)
                if parameter.key == POSITION_EMBEDDINGS and sinusoidal:
                    tensor.copy_(_sinusoids(*parameter.shape))
                    tensor.requires_grad_(False)

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        *,
        dtype: torch.dtype | None = None,
        output_loading_info: bool = False,
        **changes: Any,
    ) -> Any:
        """A model from its folder, in eval mode.

        Args:
            folder: holds ``config.json`` and ``model.safetensors``. A base model's weights serve a
                model with a head and the reverse; weights that are missing are drawn anew, with a
                warning.
            dtype: of the parameters; None means float32.
            output_loading_info: return the ``LoadReport`` too.
            **changes: fields of the configuration to change, such as ``num_labels``.

        Raises:
            CheckpointError: a file is missing or damaged, or shapes do not fit; all are listed.
            ConfigError: the folder is another model's.
        """
        config = cls.config_class.from_pretrained(folder, **changes)
        survey(folder, manifest(config, cls.head), config)
        model = cls(config)
        report = model.load(folder, dtype=dtype or torch.float32)
        if report.missing:
            logger.warning(
                "%s holds no weights for %s: they are drawn anew and must be trained.",
                folder,
                listed(file_names(report.missing, model.manifest)),
            )
        model.eval()
        return (model, report) if output_loading_info else model

    def load(self, folder: str | Path, *, dtype: torch.dtype, skip: tuple[Parameter, ...] = ()) -> LoadReport:
        """Take the folder's weights; those that are missing, or to be skipped, keep what they have."""
        wanted = tuple(p for p in self.manifest if p not in skip)
        arrays, report = read_weights(folder, wanted, self.config)
        self.assign(arrays, dtype=dtype)
        cast = {k: str(a.dtype) for k, a in arrays.items() if _name(dtype) != str(a.dtype)}
        return LoadReport(report.loaded, report.missing, report.unexpected, cast=cast)

    def assign(self, arrays: Arrays, *, dtype: torch.dtype = torch.float32) -> None:
        """Put arrays, by key, in the place of the parameters."""
        self.to(dtype)
        tensors = dict(self.named_parameters())
        with torch.no_grad():
            for key, array in arrays.items():
                # A sinusoidal table is fixed only while it is nobody's weights.
                tensors[key].requires_grad_(True).copy_(as_tensor(array))

    def arrays(self) -> Arrays:
        """The parameters as numpy arrays, by key; a tied one stands once."""
        tensors = dict(self.named_parameters())
        return {p.key: as_array(tensors[p.key]) for p in self.manifest if not p.tied_to}

    def save_pretrained(self, folder: str | Path, *, max_shard_size: int = MAX_SHARD_BYTES) -> None:
        """Write ``config.json`` and ``model.safetensors`` into ``folder``, each of them atomically.

        Args:
            folder: made where it is missing.
            max_shard_size: bytes of a file above which the weights are written in shards, with an index.

        Raises:
            ConfigError: the configuration breaks a rule across fields.
            OutputError: the folder cannot be written.
        """
        self.config.architectures = [type(self).__name__]
        self.config.dtype = _name(self.dtype)
        self.config.save_pretrained(folder)
        write_weights(folder, self.arrays(), self.manifest, max_shard_bytes=max_shard_size)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _sinusoids(positions: int, width: int) -> Tensor:
    """Sines in the even columns and cosines in the odd ones (Vaswani et al. 2017, section 3.5)."""
    columns = torch.arange(width)
    exponents = 2 * (columns // 2).double() / width
    angles = torch.arange(positions).double()[:, None] / 10000**exponents
    return torch.where(columns % 2 == 0, angles.sin(), angles.cos()).float()
