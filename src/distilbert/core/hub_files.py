"""Which files of a repository are read: those that are asked for, and of its weights one kind only."""

from collections.abc import Callable, Collection, Iterator
from enum import StrEnum
from pathlib import Path

from distilbert.core.files import (
    ADDED_TOKENS_FILE,
    BIN_FILE,
    BIN_INDEX_FILE,
    CONFIG_FILE,
    FACTS_FILE,
    H5_FILE,
    H5_INDEX_FILE,
    MODULES_FILE,
    MSGPACK_FILE,
    MSGPACK_INDEX_FILE,
    PROMPTS_FILE,
    SENTENCE_FILE,
    SPECIAL_TOKENS_FILE,
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILE,
    VOCAB_FILE,
    WEIGHTS_FILE,
    WEIGHTS_INDEX_FILE,
    is_plain_name,
    read_json,
)
from distilbert.errors import HubError

#: Weights of other frameworks, taken where there are no others; they have no variants.
OTHER_WEIGHTS = (H5_FILE, H5_INDEX_FILE, MSGPACK_FILE, MSGPACK_INDEX_FILE)


class Part(StrEnum):
    """What a caller reads of a repository."""

    CONFIG = "config"
    TOKENIZER = "tokenizer"
    WEIGHTS = "weights"
    #: Ours: ``distilbert.json``.
    FACTS = "facts"
    #: Of a sentence-embedding folder: what stands on its encoder.
    MODULES = "modules"


#: All of a model.
WHOLE: frozenset[Part] = frozenset(Part)
#: What a model's class reads, which leaves its tokenizer to the caller.
MODEL: frozenset[Part] = frozenset({Part.CONFIG, Part.WEIGHTS})

_VOCABULARIES = (TOKENIZER_FILE, VOCAB_FILE)
_FILES: dict[Part, tuple[str, ...]] = {
    Part.CONFIG: (CONFIG_FILE,),
    Part.TOKENIZER: (*_VOCABULARIES, TOKENIZER_CONFIG_FILE, SPECIAL_TOKENS_FILE, ADDED_TOKENS_FILE),
    Part.WEIGHTS: (),
    Part.FACTS: (FACTS_FILE,),
    Part.MODULES: (MODULES_FILE, SENTENCE_FILE, PROMPTS_FILE),
}


def gather(
    names: Collection[str],
    get: Callable[[str], Path],
    *,
    parts: Collection[Part],
    variant: str | None,
    use_safetensors: bool | None,
    source: str,
) -> None:
    """Get every file of these parts, small ones first, since they say which others there are.

    Args:
        names: the files that there are.
        get: brings one of them, and says where it lies then.
        parts: what is asked for.
        variant: of the weights, such as ``fp16``; None for the plain ones.
        use_safetensors: True for these weights only, False for any but these; None takes them first.
        source: whose files these are, for messages.

    Raises:
        HubError: a part is not there.
    """
    if Part.CONFIG in parts and CONFIG_FILE not in names:
        raise _lacking(CONFIG_FILE, names, source)
    if Part.TOKENIZER in parts and not any(name in names for name in _VOCABULARIES):
        raise _lacking(" or ".join(_VOCABULARIES), names, source)
    weights = weights_file(names, variant=variant, use_safetensors=use_safetensors)
    if Part.WEIGHTS in parts and weights is None:
        raise _lacking(_named(variant, use_safetensors), names, source)
    for part in Part:
        if part in parts:
            for name in _FILES[part]:
                if name in names:
                    get(name)
    if Part.MODULES in parts and MODULES_FILE in names:
        for name in _module_files(get(MODULES_FILE), names, use_safetensors):
            get(name)
    if Part.WEIGHTS in parts and weights is not None:
        path = get(weights)
        for shard in _shards(path) if path.suffix == ".json" else ():
            if shard not in names:
                raise _lacking(f"{shard}, which {weights} names", names, source)
            get(shard)


def weights_file(
    names: Collection[str], *, variant: str | None = None, use_safetensors: bool | None = None
) -> str | None:
    """The one file to begin with, weights or an index of their shards; None where there is none."""
    for name in _weights_files(variant, use_safetensors):
        if name in names:
            return name
    return None


def with_variant(name: str, variant: str | None) -> str:
    """A published file's name for a variant, which stands before the last ending.

    ``model.safetensors`` becomes ``model.fp16.safetensors``; an index ``model.safetensors.index.fp16.json``.
    """
    if not variant:
        return name
    stem, ending = name.rsplit(".", 1)
    return f"{stem}.{variant}.{ending}"


def _weights_files(variant: str | None, use_safetensors: bool | None) -> Iterator[str]:
    """In the order in which they are preferred."""
    if use_safetensors is not False:
        yield from (with_variant(name, variant) for name in (WEIGHTS_FILE, WEIGHTS_INDEX_FILE))
    if not use_safetensors:
        yield from (with_variant(name, variant) for name in (BIN_FILE, BIN_INDEX_FILE))
        if not variant:
            yield from OTHER_WEIGHTS


def _shards(index: Path) -> list[str]:
    """The files that an index names. What is wrong with one is said by who reads the weights."""
    places = read_json(index).get("weight_map")
    named = places.values() if isinstance(places, dict) else ()
    return sorted({name for name in named if is_plain_name(name)})


def _module_files(listing: Path, names: Collection[str], use_safetensors: bool | None) -> Iterator[str]:
    """The settings and weights in the folders that ``modules.json`` names."""
    for folder in module_folders(listing):
        inside = {name.removeprefix(f"{folder}/") for name in names if name.startswith(f"{folder}/")}
        weights = weights_file(inside, use_safetensors=use_safetensors)
        if CONFIG_FILE in inside:
            yield f"{folder}/{CONFIG_FILE}"
        if weights:
            yield f"{folder}/{weights}"


def module_folders(listing: Path) -> list[str]:
    """The folders that a ``modules.json`` names beside the model's own.

    Raises:
        CheckpointError: it is damaged.
    """
    modules = read_json(listing, kind=list)
    paths = [module.get("path") for module in modules if isinstance(module, dict)]
    return [path for path in paths if is_plain_name(path)]


def _named(variant: str | None, use_safetensors: bool | None) -> str:
    """What weights were looked for, as a message says it."""
    wanted = " or ".join(_weights_files(variant, use_safetensors))
    conditions = [f"variant={variant!r:.80}"] if variant else []
    conditions += [] if use_safetensors is None else [f"use_safetensors={use_safetensors}"]
    return wanted + (f" ({', '.join(conditions)})" if conditions else "")


def _lacking(what: str, names: Collection[str], source: str) -> HubError:
    there = sorted(names)
    listed = ", ".join(there[:12]) + (", …" if len(there) > 12 else "")
    return HubError(
        f"A model's repository must hold {what}.",
        received=f"{source} holding {listed or 'nothing'}",
        remedy="Choose another repository, revision, subfolder or kind of weights.",
    )
