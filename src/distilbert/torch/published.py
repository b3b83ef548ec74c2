"""Published names that libraries around a model ask it for: what it is, its size, its work."""

import logging
from collections.abc import Mapping
from copy import copy
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from distilbert.core.config import EncoderConfig
from distilbert.core.parameters import Head, Parameter, Role, manifest

logger = logging.getLogger(__name__)


class Published(nn.Module):
    """The part of every model class that answers. ``PreTrainedModel`` is made of it. Abstract.

    Attributes:
        name_or_path: what ``from_pretrained`` was asked for; a library that writes adapters notes it.
        warnings_issued: what has been warned of already, by name; a trainer may enter what it has no use for.
    """

    main_input_name: ClassVar[str] = "input_ids"
    framework: ClassVar[str] = "pt"
    supports_gradient_checkpointing: ClassVar[bool] = True
    #: Layer by layer over several devices, the older way.
    is_parallelizable: ClassVar[bool] = False
    #: A loss is the mean over the call's own batch: Trainer divides by the steps that it accumulates.
    accepts_loss_kwargs: ClassVar[bool] = False
    #: What accelerate keeps on one device, and wraps as one unit under FSDP.
    _no_split_modules: ClassVar[list[str]] = ["Block"]
    head: ClassVar[Head] = Head.NONE

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        #: Its own: what is changed of a model later, such as its sizes, is changed of no other one.
        self.config = copy(config)
        self.name_or_path = ""
        self.warnings_issued: dict[str, bool] = {}

    @property
    def manifest(self) -> tuple[Parameter, ...]:
        """Every parameter of this model, under the keys that ``named_parameters`` has too."""
        return manifest(self.config, self.head)

    @property
    def _tied_weights_keys(self) -> list[str]:
        """Of the parameters that are another's tensor: peft keeps them so, FSDP ties them anew."""
        return [parameter.key for parameter in self.manifest if parameter.tied_to]

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    @classmethod
    def can_generate(cls) -> bool:
        """Whether it writes text. An encoder does not."""
        return False

    @property
    def num_labels(self) -> int:
        return self.config.num_labels

    @property
    def dummy_inputs(self) -> dict[str, Tensor]:
        """A small batch, to try a model with; of ids that it has, and a [CLS] for each row."""
        ids = torch.tensor([[7, 6, 0, 0, 1], [1, 2, 3, 0, 0], [0, 0, 0, 4, 5]], device=self.device)
        return {"input_ids": ids}

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """How many numbers the model has; a tied table counts once.

        Args:
            only_trainable: of those that learn.
            exclude_embeddings: without the tables of words, positions and token types.
        """
        roles = {parameter.key: parameter.role for parameter in self.manifest}
        return sum(
            parameter.numel()
            for name, parameter in self.named_parameters()
            if (parameter.requires_grad or not only_trainable)
            and not (exclude_embeddings and roles.get(name) is Role.EMBEDDING)
        )

    def get_memory_footprint(self, return_buffers: bool = True) -> int:
        """Bytes of the parameters, and of what else is kept with them."""
        tensors = [*self.parameters(), *(self.buffers() if return_buffers else ())]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def get_parameter_or_buffer(self, target: str) -> Tensor:
        """The tensor of this name.

        Raises:
            AttributeError: there is none.
        """
        try:
            return self.get_parameter(target)
        except AttributeError:
            return self.get_buffer(target)

    def estimate_tokens(self, input_dict: Mapping[str, Any]) -> int:
        """How many tokens a batch has, padding included; 0, with a warning, for one without ids."""
        ids = input_dict.get(self.main_input_name)
        if ids is not None:
            return sum(ids.lengths) if hasattr(ids, "lengths") else ids.numel()
        if not self.warnings_issued.get("estimate_tokens"):
            self.warnings_issued["estimate_tokens"] = True
            logger.warning(
                "A batch without input_ids has an unknown number of tokens: its work is not counted."
            )
        return 0

    def floating_point_ops(self, input_dict: Mapping[str, Any], exclude_embeddings: bool = True) -> int:
        """Operations of a training step on this batch: 6 a token and parameter (Kaplan et al. 2020, 2.1).

        Args:
            input_dict: the batch, as ``forward`` takes it.
            exclude_embeddings: count no look-ups.
        """
        return (
            6 * self.estimate_tokens(input_dict) * self.num_parameters(exclude_embeddings=exclude_embeddings)
        )
