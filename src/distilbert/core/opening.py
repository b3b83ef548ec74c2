"""What ``from_pretrained`` is told, whichever wing is asked: a configuration, and changes to it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from distilbert.core.config import EncoderConfig
from distilbert.errors import ConfigError

Config = TypeVar("Config", bound=EncoderConfig)

#: Keywords of the peer's that leave nothing to choose here: every kind of file is recognised, no second copy
#: of the weights is ever held, and no file can run code.
WITHOUT_EFFECT = frozenset({"from_tf", "from_flax", "from_pt", "low_cpu_mem_usage", "weights_only"})


def changed(config: EncoderConfig, changes: Mapping[str, Any]) -> EncoderConfig:
    """The configuration with these fields changed; the one given stays as it is.

    Raises:
        ConfigError: a name that it has no field of.
    """
    changes = {name: value for name, value in changes.items() if name not in WITHOUT_EFFECT}
    if unknown := [name for name in changes if not config.has_field(name)]:
        raise ConfigError(
            "A further keyword must be a field of the configuration.",
            received=", ".join(unknown),
            remedy="Correct the name; a field of your own is set on the configuration, given as config=.",
        )
    kept = {"attn_implementation": config.attn_implementation}
    return type(config).from_dict(config.to_dict(), **{**kept, **changes})


def chosen_config(
    kind: type[Config],
    folder: str | Path | None,
    config: EncoderConfig | str | Path | None,
    where: Mapping[str, Any],
) -> EncoderConfig:
    """The configuration that is given, or the one of a folder.

    Args:
        kind: the class that the model is built from.
        folder: the model's own, whose configuration is read where no other is named.
        config: one, or a folder or file of one, or its name on a hub.
        where: keywords that say where on a hub.

    Raises:
        ConfigError: there is none, or it is no configuration of ours.
    """
    if isinstance(config, EncoderConfig):
        return config
    if (source := folder if config is None else config) is None:
        raise ConfigError(
            "A model without a folder needs its configuration.",
            received="neither",
            remedy=f"Give config={kind.__name__}(…).",
        )
    if not isinstance(source, str | Path):
        raise ConfigError(
            f"config is a {kind.__name__}, a folder or a file of one, or its name on a hub.",
            received=f"a {type(config).__module__}.{type(config).__name__}",
            remedy=f"Give {kind.__name__}.from_dict(config.to_dict()).",
        )
    if config is not None and Path(source).is_file():
        return kind.from_json_file(source)
    return kind.from_pretrained(source, **where)


def refuse_other_config(model: str, kind: type[EncoderConfig], config: Any) -> None:
    """Refuse to build a model of another configuration than its own class's.

    Args:
        model: what the model's class is called.
        kind: the class of its configuration.
        config: what it is to be built from.

    Raises:
        ConfigError: another model's, another package's, or none.
    """
    if isinstance(config, kind):
        return
    own, other = kind.__name__, type(config)
    foreign = hasattr(config, "to_dict") and not isinstance(config, EncoderConfig)
    raise ConfigError(
        f"{model} is built from a {own} of this package.",
        received=f"a {other.__module__}.{other.__name__}" if foreign else f"a {other.__name__}",
        remedy=f"Give it {own}.from_dict(config.to_dict())."
        if foreign
        else f"Give it a {own}, or use from_pretrained(folder).",
    )
