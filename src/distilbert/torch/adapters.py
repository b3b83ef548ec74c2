"""Low-rank adapters beside a model's projections (LoRA, Hu et al. 2021), by peft; saving adds them in."""

import copy
import importlib.util
from collections.abc import Iterator
from typing import Any, TypeVar

from torch import nn

from distilbert.core.parameters import Role, is_encoder
from distilbert.core.recipe import Finetuning
from distilbert.errors import ConfigError, MissingExtraError
from distilbert.torch.pretrained import PreTrainedModel

#: By a recipe's word, the parts of a block that adapters stand beside: how their names end.
_PLACES = {"attention": (".attention.",), "all": ("",)}

Model = TypeVar("Model", bound=PreTrainedModel)


def adapt(model: PreTrainedModel, recipe: Finetuning) -> None:
    """Put adapters beside the projections of a model's blocks; they and the head alone learn from now on.

    Blocks that are frozen get none. What they add is nothing at first.

    Raises:
        MissingExtraError: peft is not installed.
        ConfigError: all blocks are frozen.
    """
    if not recipe.lora_rank:
        return
    if importlib.util.find_spec("peft") is None:
        raise MissingExtraError.of("lora", wanted="Low-rank adapters", missing="peft")
    from peft import LoraConfig, inject_adapter_in_model

    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    beside = [
        parameter.key.rpartition(".")[0]
        for parameter in model.manifest
        if parameter.role is Role.KERNEL
        and parameter.key in learning
        and is_encoder(parameter.key, model.config)
        and any(place in parameter.key for place in _PLACES[recipe.lora_at])
    ]
    if not beside:
        raise ConfigError(
            "Adapters need a layer that is not frozen.",
            received=f"freeze={recipe.freeze}, and a model of {model.config.n_layers} layers",
            remedy="Freeze fewer layers: --freeze none",
        )
    config = LoraConfig(
        r=recipe.lora_rank,
        lora_alpha=recipe.lora_alpha,
        lora_dropout=recipe.lora_dropout,
        target_modules=beside,
    )
    inject_adapter_in_model(config, model)
    for name, parameter in model.named_parameters():
        if name in learning and not is_encoder(name, model.config):
            parameter.requires_grad_(True)


def has_adapters(model: nn.Module) -> bool:
    return any(True for _ in _adapted(model))


def merged(model: Model) -> Model:
    """A model whose weights contain what its adapters add: a copy, or itself where it has none."""
    if not has_adapters(model):
        return model
    whole = copy.deepcopy(model)
    for parent, name, layer in list(_adapted(whole)):
        layer.merge(safe_merge=True)
        setattr(parent, name, layer.get_base_layer())
    for leftover in ("peft_config", "_hf_peft_config_loaded"):
        whole.__dict__.pop(leftover, None)
    return whole


def _adapted(model: nn.Module) -> Iterator[tuple[nn.Module, str, Any]]:
    """Projections with an adapter: where each stands, and under which name."""
    for parent in model.modules():
        for name, child in parent.named_children():
            if hasattr(child, "get_base_layer") and hasattr(child, "lora_A"):
                yield parent, name, child
