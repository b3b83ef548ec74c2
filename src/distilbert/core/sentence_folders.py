"""Sentence-embedding folders: an encoder with ``modules.json`` and what comes after it, read and written.

The published layout: ``modules.json`` lists the encoder (in the folder itself, or in one beside), a pooling,
and dense layers and a normalising after it, each in a small folder of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distilbert.core.files import (
    CONFIG_FILE,
    MODULES_FILE,
    PROMPTS_FILE,
    SENTENCE_FILE,
    is_plain_name,
    make_folder,
    read_json,
    write_json,
)
from distilbert.core.output import filling
from distilbert.core.pooling import POOLINGS, Dense, Normalize, Pooling
from distilbert.core.weight_files import Weights, write_arrays
from distilbert.errors import CheckpointError, ConfigError

#: The flags by which older folders say what newer ones name, in the order of ``POOLINGS``.
_FLAGS = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}

#: Where the modules of these names are to be found by every version of the programs that read such folders.
_TYPES = "sentence_transformers.models."

_PROMPT_KEYS = ("__version__", "prompts", "default_prompt_name")

#: A dense module's activations stand in files with the place of their class.
_ACTIVATIONS = "torch.nn.modules.{}.{}"


@dataclass(frozen=True)
class SentenceModules:
    """What stands on the encoder of a sentence-embedding folder.

    Attributes:
        pooling: of the hidden states.
        after: dense layers and normalising, in order.
        max_seq_length: of a text in tokens, or None for the tokenizer's own.
        do_lower_case: lower-case texts before the tokenizer, whatever it does.
        prompts: instructions to put before texts, by the name of what the vectors are for.
        default_prompt_name: the one that is used unasked.
        encoder: the folder that holds the encoder, inside the folder read.
        more: further settings of the folder's, such as ``similarity_fn_name`` and ``truncate_dim``; kept.
    """

    pooling: Pooling = field(default_factory=Pooling)
    after: tuple[Dense | Normalize, ...] = ()
    max_seq_length: int | None = None
    do_lower_case: bool = False
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    encoder: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)

    def finish(self, x_BD: Any) -> Any:
        """What becomes of pooled vectors, [texts, E]: dense layers, normalising, the first numbers kept."""
        for module in self.after:
            x_BD = module(x_BD)
        return x_BD[:, : self.kept_width]

    @property
    def kept_width(self) -> int | None:
        """How many of a vector's numbers are kept; None is all."""
        width = self.more.get("truncate_dim")
        return width if isinstance(width, int) and width > 0 else None


def has_modules(folder: Path) -> bool:
    """Whether a folder says how vectors are made."""
    return (folder / MODULES_FILE).is_file()


def read_modules(folder: str | Path) -> SentenceModules | None:
    """What a folder says of sentence embeddings, or None where it has no ``modules.json``.

    Raises:
        CheckpointError: a file is damaged, or names what is not there.
        ConfigError: a module of a kind that this package does not have.
    """
    folder = Path(folder)
    if not has_modules(folder):
        return None
    listed = read_json(folder / MODULES_FILE, kind=list)
    kinds = [_kind(entry, folder) for entry in listed]
    if [name for name, _ in kinds[:2]] != ["Transformer", "Pooling"]:
        raise ConfigError(
            f"{MODULES_FILE} must begin with a Transformer and a Pooling.",
            received=f"{', '.join(name for name, _ in kinds) or 'nothing'} in {folder}",
            remedy="Use a folder whose vectors are made by pooling an encoder's hidden states.",
        )
    encoder = kinds[0][1]
    sentence = read_json(folder / encoder / SENTENCE_FILE, missing_is_empty=True)
    prompts = read_json(folder / PROMPTS_FILE, missing_is_empty=True)
    longest, texts = sentence.get("max_seq_length"), prompts.get("prompts") or {}
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise CheckpointError(
            f"The prompts in {PROMPTS_FILE} must be texts by name.",
            received=f"{texts!r:.80} in {folder}",
            remedy="Correct them there, or remove them.",
        )
    return SentenceModules(
        _read_pooling(folder / kinds[1][1]),
        tuple(_read_after(name, folder / place) for name, place in kinds[2:]),
        longest if isinstance(longest, int) and longest > 0 else None,
        sentence.get("do_lower_case") is True,
        texts,
        prompts.get("default_prompt_name"),
        encoder,
        {name: value for name, value in prompts.items() if name not in _PROMPT_KEYS},
    )


def encoder_folder(folder: Path) -> Path:
    """Where the encoder of a model folder is: in older sentence-embedding folders, one level down.

    Raises:
        CheckpointError: ``modules.json`` is damaged.
    """
    if (folder / CONFIG_FILE).exists() or not (folder / MODULES_FILE).exists():
        return folder
    modules = read_modules(folder)
    return folder / modules.encoder if modules else folder


def write_modules(folder: str | Path, modules: SentenceModules) -> None:
    """Write what stands on the encoder beside the encoder's own files, as older programs read it too.

    Args:
        folder: holds the encoder, or will.
        modules: what stands on it.

    Raises:
        OutputError: the folder cannot be written.
    """
    pooling = _pooling_content(modules.pooling, Path(folder))
    with filling(folder) as partial:
        _write_modules(partial, modules, pooling)


def _write_modules(folder: Path, modules: SentenceModules, pooling: Mapping[str, Any]) -> None:
    made: list[tuple[str, str]] = [("Transformer", "")]
    for i, module in enumerate((modules.pooling, *modules.after), start=1):
        name = type(module).__name__
        place = f"{i}_{name}"
        made.append((name, place))
        make_folder(folder / place)
        if isinstance(module, Pooling):
            write_json(folder / place / "config.json", pooling)
        elif isinstance(module, Dense):
            _write_dense(folder / place, module)
    write_json(
        folder / SENTENCE_FILE,
        {"max_seq_length": modules.max_seq_length, "do_lower_case": modules.do_lower_case},
    )
    write_json(
        folder / PROMPTS_FILE,
        {
            "__version__": {},
            **modules.more,
            "prompts": dict(modules.prompts),
            "default_prompt_name": modules.default_prompt_name,
        },
    )
    write_json(
        folder / MODULES_FILE,
        [
            {"idx": i, "name": str(i), "path": place, "type": _TYPES + name}
            for i, (name, place) in enumerate(made)
        ],
    )


def _kind(entry: Any, folder: Path) -> tuple[str, str]:
    """The kind and the place of a listed module."""
    kind, place = (entry.get(key) if isinstance(entry, dict) else None for key in ("type", "path"))
    name = str(kind).rpartition(".")[2]
    known = isinstance(kind, str) and kind.startswith("sentence_transformers.")
    if not known or name not in ("Transformer", "Pooling", "Dense", "Normalize"):
        raise ConfigError(
            f"The modules of {MODULES_FILE} must be a Transformer, a Pooling, Dense layers and Normalize.",
            received=f"{kind!r:.80} in {folder}",
            remedy="Use a folder of these modules only; one with code of its own is not read.",
        )
    # A place with a path in it would lead out of the folder.
    if place != "" and not is_plain_name(place):
        raise CheckpointError(
            f"{MODULES_FILE} must name folders beside it.",
            received=f"{place!r:.80} in {folder}",
            remedy="Copy or save the model again.",
        )
    return name, place


def _read_pooling(folder: Path) -> Pooling:
    content = read_json(folder / "config.json")
    modes = content.get("pooling_mode")
    if modes is None:
        modes = [mode for mode, flag in _FLAGS.items() if content.get(flag)] or ["mean"]
    modes = [modes] if isinstance(modes, str) else modes
    if not isinstance(modes, list):
        modes = [repr(modes)]
    return Pooling(tuple(map(str, modes)), content.get("include_prompt") is not False)


def _pooling_content(pooling: Pooling, folder: Path) -> dict[str, Any]:
    width = read_json(folder / "config.json", missing_is_empty=True)
    content: dict[str, Any] = {"word_embedding_dimension": width.get("dim", width.get("hidden_size"))}
    if list(pooling.modes) == [mode for mode in POOLINGS if mode in pooling.modes]:
        content |= {flag: mode in pooling.modes for mode, flag in _FLAGS.items()}
    else:  # flags have no order of their own
        content["pooling_mode"] = list(pooling.modes)
    return {**content, "include_prompt": pooling.include_prompt}


def _read_after(name: str, folder: Path) -> Dense | Normalize:
    if name == "Normalize":
        return Normalize()
    if name != "Dense":
        raise ConfigError(
            "After the pooling come dense layers and normalising.",
            received=f"a {name} in {folder.parent}",
            remedy="Use a folder of one Transformer and one Pooling.",
        )
    content = read_json(folder / "config.json")
    with Weights(folder) as file:
        if "linear.weight" not in file.shapes:
            raise CheckpointError(
                "A dense module must hold its linear.weight.",
                received=f"{', '.join(file.shapes) or 'nothing'} in {folder}",
                remedy="Copy or save the model again.",
            )
        bias = file["linear.bias"] if "linear.bias" in file.shapes else None
        activation = str(content.get("activation_function", "torch.nn.modules.activation.Tanh"))
        known = activation.startswith("torch.nn.")
        return Dense(file["linear.weight"], bias, activation.rpartition(".")[2] if known else activation)


def _write_dense(folder: Path, module: Dense) -> None:
    out, width = module.weight.shape
    place = "linear" if module.activation == "Identity" else "activation"
    arrays = {"linear.weight": module.weight}
    write_arrays(folder, arrays if module.bias is None else {**arrays, "linear.bias": module.bias})
    write_json(
        folder / "config.json",
        {
            "in_features": width,
            "out_features": out,
            "bias": module.bias is not None,
            "activation_function": _ACTIVATIONS.format(place, module.activation),
        },
    )
