"""What the two configurations share: fields that are checked, in memory and as ``config.json``.

Rules for one field hold whenever it is assigned. Rules across fields hold in the constructor, when a
model is built and when the configuration is saved (``check``), so that two assignments in a row work.
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar, Self

from distilbert.core import rules
from distilbert.core.config_files import folder_content, model_type
from distilbert.core.files import CONFIG_FILE, make_folder, read_json, write_atomically
from distilbert.core.hub import Part, hub_keywords, local_folder
from distilbert.core.publishing import Publishable
from distilbert.core.rules import Rule
from distilbert.core.shared_fields import SHARED_DEFAULTS, SHARED_RULES, UNLESS_SAID
from distilbert.errors import ConfigError

#: Epsilon of every LayerNorm (BERT's, and therefore DistilBERT's).
LAYER_NORM_EPS = 1e-12

#: The label of a position that takes no part in a loss.
IGNORED_LABEL = -100

#: More than any published encoder has, by far; a larger number is a broken file's.
MOST_LAYERS = 1024
MOST_LABELS = 100_000


class EncoderConfig(Publishable):
    """What the two configurations share. Keys it does not know are kept, as published files have some."""

    model_type: ClassVar[str]
    #: Other names of a field, for reading, assigning and constructing.
    aliases: ClassVar[Mapping[str, str]]
    field_rules: ClassVar[Mapping[str, Rule]]

    # The sizes and rates that every model reads, under DistilBERT's names.
    vocab_size: int
    max_position_embeddings: int
    n_layers: int
    n_heads: int
    dim: int
    hidden_dim: int
    dropout: float
    attention_dropout: float
    activation: Any
    initializer_range: float
    pad_token_id: int
    layer_norm_eps: float

    architectures: list[str] | None
    attn_implementation: str
    dtype: str | None
    id2label: dict[int, str]
    label2id: dict[str, int]
    output_attentions: bool
    output_hidden_states: bool
    problem_type: str | None
    pruned_heads: dict[int, list[int]]
    return_dict: bool
    tie_word_embeddings: bool
    torchscript: bool

    def _fill(self, sizes: Mapping[str, Any], others: Mapping[str, Any]) -> None:
        """Set every field once: sizes, shared defaults, then what the caller named besides."""
        for name, value in (*sizes.items(), *SHARED_DEFAULTS.items()):
            setattr(self, name, value)
        others = dict(others)
        others.pop("model_type", None)
        if taken := [name for name in others if self._has_other_use_for(name)]:
            raise ConfigError(
                "A further field must have a name that the configuration has no other use for.",
                received=", ".join(taken),
                remedy="Rename or remove it.",
            )
        # A count of labels stands behind names, which say more.
        if (count := others.pop("num_labels", None)) is not None and "id2label" not in others:
            self.num_labels = count
        for name, value in others.items():
            setattr(self, name, value)
        if "id2label" in others and "label2id" not in others:
            self.label2id = {name: i for i, name in self.id2label.items()}
        self.check()

    def __setattr__(self, name: str, value: Any) -> None:
        name = self.aliases.get(name, name)
        rule = self.field_rules.get(name) or SHARED_RULES.get(name)
        object.__setattr__(self, name, rule(name, value) if rule else value)

    def __getattr__(self, name: str) -> Any:
        if name in self.aliases:
            return getattr(self, self.aliases[name])
        if name in UNLESS_SAID:
            return UNLESS_SAID[name]
        raise AttributeError(f"{type(self).__name__} has no field {name!r}")

    def has_field(self, name: str) -> bool:
        """Whether there is something of this name to change, under its own name or another."""
        return hasattr(self, name) and (name not in UNLESS_SAID or name in vars(self))

    @property
    def num_labels(self) -> int:
        return len(self.id2label)

    @num_labels.setter
    def num_labels(self, count: int) -> None:
        count = rules.integer(1, MOST_LABELS)("num_labels", count)
        if count != len(self.id2label):
            self.id2label = {i: f"LABEL_{i}" for i in range(count)}
            self.label2id = {name: i for i, name in self.id2label.items()}

    @property
    def attribute_map(self) -> dict[str, str]:
        """Other names of fields, as the peer calls ``aliases``."""
        return dict(self.aliases)

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> Self:
        """Itself, being of text and nothing else; libraries that know models of several parts ask for it."""
        return self

    @property
    def torch_dtype(self) -> str | None:
        """The older name of ``dtype``."""
        return self.dtype

    @torch_dtype.setter
    def torch_dtype(self, value: str | None) -> None:
        self.dtype = value

    @property
    def use_return_dict(self) -> bool:
        """Whether a model answers by name; TorchScript's graphs answer with tuples."""
        return self.return_dict and not self.torchscript

    def check(self) -> None:
        """Hold the rules across fields.

        Raises:
            ConfigError: the heads do not divide the width, labels are numbered with gaps, the padding id is
                outside the vocabulary, or heads are pruned that are not there.
        """
        if self.dim % self.n_heads:
            heads, width = self._spelled("n_heads"), self._spelled("dim")
            # An absurd width has to be refused as quickly as another.
            divisors = [str(n) for n in range(1, min(self.dim, 4096) + 1) if self.dim % n == 0][:7]
            choice = " or ".join(part for part in (", ".join(divisors[:-1]), divisors[-1]) if part)
            raise ConfigError(
                f"{heads} must divide {width}.",
                received=f"{heads}={self.n_heads}, {width}={self.dim}",
                remedy=f"Choose {choice}.",
            )
        if sorted(self.id2label) != list(range(len(self.id2label))):
            raise ConfigError(
                "id2label must number the labels from 0 on.",
                received=f"id2label with the ids {', '.join(map(str, self.id2label)):.200}",
                remedy="Give the labels the ids of their logits.",
            )
        if self.pad_token_id >= self.vocab_size:
            raise ConfigError(
                "pad_token_id must be an id of the vocabulary.",
                received=f"pad_token_id={self.pad_token_id}, vocab_size={self.vocab_size}",
                remedy=f"Choose an id from 0 to {self.vocab_size - 1}.",
            )
        for layer, pruned in self.pruned_heads.items():
            if layer >= self.n_layers or any(head >= self.n_heads for head in pruned):
                raise ConfigError(
                    "pruned_heads must name heads that the model has, by layer.",
                    received=f"layer {layer}, heads {pruned}, of {self.n_layers} layers of {self.n_heads}",
                    remedy="Correct the numbers, which count from 0.",
                )
            if len(pruned) == self.n_heads:
                raise ConfigError(
                    "A layer must keep at least one head.",
                    received=f"all {self.n_heads} heads of layer {layer} in pruned_heads",
                    remedy="Keep one, or leave out the whole layer: distilbert shrink.",
                )

    def _has_other_use_for(self, name: str) -> bool:
        """Whether a further field of this name would hide a method, or what is worked out from others."""
        known = name in SHARED_DEFAULTS or name in self.field_rules or name == "num_labels"
        there = getattr(type(self), name, None)
        return not known and there is not None and getattr(there, "fset", None) is None

    def _spelled(self, name: str) -> str:
        return self.aliases.get(name, name)

    def to_dict(self) -> dict[str, Any]:
        """The content of ``config.json``: every size, and the rest where it differs from its default.

        Whether tables are tied is said in any case: adapters that untie them look here.
        """
        content = {
            name: value
            for name, value in vars(self).items()
            if name not in SHARED_DEFAULTS or name == "tie_word_embeddings" or value != SHARED_DEFAULTS[name]
        }
        content.pop("attn_implementation", None)  # how to compute, not what: a choice of each machine
        return {**content, "model_type": self.model_type}

    def to_diff_dict(self) -> dict[str, Any]:
        """The content of ``config.json``: the peer's name for what ``to_dict`` is here."""
        return self.to_dict()

    def update(self, config_dict: Mapping[str, Any]) -> None:
        """Assign several fields, and hold the rules across them."""
        for name, value in config_dict.items():
            setattr(self, name, value)
        self.check()

    def update_from_string(self, update_str: str) -> None:
        """Assign fields from ``name=value,name=value``; values take the type of what they replace.

        Raises:
            ConfigError: a name that there is no field of, or a value of another type.
        """
        changes: dict[str, Any] = {}
        for part in update_str.split(","):
            name, _, value = part.partition("=")
            try:
                if not self.has_field(name):
                    raise KeyError(name)
                old = getattr(self, name)
                changes[name] = (
                    {"true": True, "false": False}[value.lower()]
                    if isinstance(old, bool)
                    else (type(old)(value) if isinstance(old, int | float | str) else json.loads(value))
                )
            except (AttributeError, KeyError, ValueError):
                raise ConfigError(
                    "Fields are changed as name=value, values being of the field's type.",
                    received=part,
                    remedy="Correct the name or the value.",
                ) from None
        self.update(changes)

    def to_json_file(self, json_file_path: str | Path) -> None:
        """Write the text of ``config.json`` to a file, atomically."""
        write_atomically(Path(json_file_path), self.to_json_string().encode())

    def to_json_string(self) -> str:
        """The text of ``config.json``.

        Raises:
            ConfigError: the activation is a callable, which no file can hold.
        """
        if callable(self.activation):
            raise ConfigError(
                "A saved activation must be a published name.",
                received=f"the callable {self.activation!r}",
                remedy=f"Choose one of {', '.join(rules.ACTIVATIONS)}.",
            )
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any], **changes: Any) -> Self:
        """From the content of a ``config.json``; ``changes`` go over it."""
        content = {cls.aliases.get(name, name): value for name, value in config_dict.items()}
        changes = {cls.aliases.get(name, name): value for name, value in changes.items()}
        names, count = changes.get("id2label"), changes.get("num_labels")
        if names is not None and count is not None and len(names) != count:
            raise ConfigError(
                "num_labels must be the number of names in id2label.",
                received=f"num_labels={count!r:.40}, {len(names)} names",
                remedy="Leave num_labels out.",
            )
        if "num_labels" in changes and "id2label" not in changes:
            content.pop("id2label", None)
            content.pop("label2id", None)
        if "id2label" in changes and "label2id" not in changes:
            content.pop("label2id", None)
        if "torch_dtype" in content:
            content["dtype"] = content.pop("torch_dtype")
        content.pop("self", None)
        return cls(**{**content, **changes})

    @classmethod
    def from_json_file(cls, json_file: str | Path) -> Self:
        """From a file that holds what a ``config.json`` does.

        Raises:
            CheckpointError: there is no such file, or it is not JSON.
        """
        return cls.from_dict(read_json(Path(json_file)))

    @classmethod
    def get_config_dict(
        cls, pretrained_model_name_or_path: str | Path, **others: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The content of a model's ``config.json``, and the keywords that say nothing of where it is."""
        where, others = hub_keywords(others)
        return folder_content(
            local_folder(pretrained_model_name_or_path, wanted={Part.CONFIG}, **where)
        ), others

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        revision: str = "main",
        *,
        subfolder: str = "",
        **changes: Any,
    ) -> Self:
        """From the ``config.json`` of a model's folder, or of its repository on a hub.

        Args:
            pretrained_model_name_or_path: the folder, or the repository's name.
            cache_dir, force_download, local_files_only, token, revision, subfolder: as ``local_folder``.
            **changes: fields, in place of what the file says.

        Raises:
            CheckpointError: there is no such file, or it is not JSON.
            ConfigError: a field holds what it cannot, or the model type is another.
            HubError: neither a folder nor a repository that can be read.
        """
        content, changes = cls.get_config_dict(
            pretrained_model_name_or_path,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
            token=token,
            revision=revision,
            subfolder=subfolder,
            **changes,
        )
        if model_type(content) not in (None, cls.model_type):
            raise ConfigError(
                f"{cls.__name__} reads models whose model_type is {cls.model_type}.",
                received=f"model_type={model_type(content)!s:.80} in {pretrained_model_name_or_path}",
                remedy="Use the class of that model type.",
            )
        return cls.from_dict(content, **changes)

    def save_pretrained(self, save_directory: str | Path, push_to_hub: bool = False, **pushing: Any) -> None:
        """Write ``config.json`` into a folder, which is made where it is missing.

        Args:
            save_directory: the folder.
            push_to_hub: send it to a hub as well.
            **pushing: arguments of ``push_to_hub``; without ``repo_id`` the folder's name is taken.

        Raises:
            ConfigError: a rule across fields does not hold.
            OutputError: the folder cannot be written, or the hub does not take it.
        """
        self.check()
        folder = Path(save_directory)
        make_folder(folder)
        write_atomically(folder / CONFIG_FILE, self.to_json_string().encode())
        self._push_saved(folder, push_to_hub, pushing)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __copy__(self) -> Self:
        """One whose fields, lists and names of labels too, are changed on their own."""
        other = object.__new__(type(self))
        for name, value in vars(self).items():
            vars(other)[name] = deepcopy(value) if isinstance(value, dict | list) else value
        return other

    __hash__ = None  # type: ignore[assignment]  # mutable, so never a dictionary's key

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in sorted(self.to_dict().items()))
        return f"{type(self).__name__}({fields})"
