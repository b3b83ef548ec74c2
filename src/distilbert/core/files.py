"""The files of a model folder: their names, bounded reading of the small ones, atomic writing."""

import json
import os
import re
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TypeGuard

from distilbert.errors import CheckpointError, DistilBertError, OutputError

CONFIG_FILE = "config.json"
#: What Google's folders hold in its place.
BERT_CONFIG_FILE = "bert_config.json"
WEIGHTS_FILE = "model.safetensors"
WEIGHTS_INDEX_FILE = "model.safetensors.index.json"
BIN_FILE = "pytorch_model.bin"
BIN_INDEX_FILE = "pytorch_model.bin.index.json"
H5_FILE = "tf_model.h5"
H5_INDEX_FILE = "tf_model.h5.index.json"
MSGPACK_FILE = "flax_model.msgpack"
MSGPACK_INDEX_FILE = "flax_model.msgpack.index.json"
#: A pattern: ``bert_model.ckpt.index``, or ``model.ckpt-1000.index`` of a run.
GOOGLE_FILES = "*.ckpt*.index"
TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
SPECIAL_TOKENS_FILE = "special_tokens_map.json"
ADDED_TOKENS_FILE = "added_tokens.json"
VOCAB_FILE = "vocab.txt"
MODULES_FILE = "modules.json"
SENTENCE_FILE = "sentence_bert_config.json"
PROMPTS_FILE = "config_sentence_transformers.json"
#: Ours: task, preprocessing, metrics and how the model was made. Published keys stay in ``config.json``.
FACTS_FILE = "distilbert.json"
#: Ours, too: what was optimised of a model, in a folder for each kind of processor.
RUNTIMES_FOLDER = "runtimes"

_NODES = frozenset({dict, list})

#: Those that hold no vocabulary.
_SMALL = frozenset({CONFIG_FILE, BERT_CONFIG_FILE, MODULES_FILE, SENTENCE_FILE, PROMPTS_FILE, FACTS_FILE})

#: The kinds of files that weights are written in: ours, PyTorch's, TensorFlow 2's, Flax's.
WEIGHT_KINDS = ("safetensors", "bin", "h5", "msgpack")

#: No published configuration comes near these, nor does a vocabulary: one of half a million words has 10 MB.
#: What is parsed takes some twenty times the room.
MAX_CONFIG_BYTES, MAX_JSON_BYTES = 8 * 2**20, 32 * 2**20

#: Lists in lists; a configuration has three or four. What is deeper could not be shown, copied or written.
MAX_LEVELS = 50

#: Characters of a file's name that every system takes.
MAX_NAME = 200
_PLAIN_NAME = re.compile(r"(?!\.{1,2}$)[\w. -]+")


def read_json(path: Path, *, missing_is_empty: bool = False, kind: type[Any] = dict) -> Any:
    """The object, or the value of another ``kind``, in a small JSON file.

    Raises:
        CheckpointError: missing, unreadable, too large, not JSON, or not of that kind.
    """
    what = "object" if kind is dict else kind.__name__
    remedy = "Choose a folder that a training or saving command has written."
    most = MAX_CONFIG_BYTES if path.name in _SMALL or ".index." in path.name else MAX_JSON_BYTES
    try:
        if path.exists() and not path.is_file():
            raise OSError(None, "not a file", str(path))  # a pipe would be waited for without end
        with path.open("rb") as file:
            content = file.read(most + 1)
    except (FileNotFoundError, NotADirectoryError):
        if missing_is_empty:
            return kind()
        raise CheckpointError(
            f"A model folder must hold {path.name}.", received=_what_is_there(path), remedy=remedy
        ) from None
    except OSError as error:
        raise CheckpointError(
            f"{path.name} must be readable.", received=f"{error.strerror} for {path}", remedy=remedy
        ) from error
    if len(content) > most:
        raise CheckpointError(
            f"{path.name} must be at most {most} bytes.",
            received=f"a larger file, {path}",
            remedy=remedy,
        )
    try:
        value = json.loads(content)
        _refuse_depth(value)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path.name} must be a JSON {what} in UTF-8.",
            received=f"{path}: {error or type(error).__name__}",
            remedy="Restore the file, or save the model again.",
        ) from None
    if not isinstance(value, kind):
        raise CheckpointError(
            f"{path.name} must be a JSON {what}.",
            received=f"a {type(value).__name__} in {path}",
            remedy="Restore the file, or save the model again.",
        )
    return value


def _refuse_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_LEVELS):
        nodes = (part.values() if type(part) is dict else part for part in level if type(part) in _NODES)
        level = [inner for node in nodes for inner in node if type(inner) in _NODES]
    if level:
        raise ValueError(f"more than {MAX_LEVELS} levels")


def is_plain_name(name: object) -> TypeGuard[str]:
    """Whether a name can only be that of a file beside the one that names it."""
    return isinstance(name, str) and len(name) <= MAX_NAME and _PLAIN_NAME.fullmatch(name) is not None


def make_folder(path: Path) -> None:
    """Make a folder where there is none.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write the whole file or leave what was there.

    Raises:
        OutputError: the place cannot be written.
    """
    with replacing(path) as partial, partial.open("wb") as file:
        file.write(content)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place beside ``path`` to write to; the file there becomes ``path`` when the block ends well.

    Raises:
        OutputError: the place cannot be written.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        partial.touch(exist_ok=False)
        mode = partial.stat().st_mode
        yield partial
        # Some writers make a file of their own that only its owner may read.
        partial.chmod(mode)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    except DistilBertError:
        raise
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()


def weights_patterns(variant: str | None = None) -> list[str]:
    """What the weights of a variant may be called: a whole file, shards, and their index."""
    stem, _, ending = WEIGHTS_FILE.rpartition(".")
    part = f".{variant}" if variant else ""
    return [
        f"{stem}{part}.{ending}",
        f"{stem}{part}-?????-of-?????.{ending}",
        f"{WEIGHTS_FILE}.index{part}.json",
    ]


def drop_superseded(folder: Path, written: Collection[str], *, variant: str | None = None) -> None:
    """Where weights were written, remove those of an earlier save of the variant: readers might take them."""
    patterns = weights_patterns(variant)
    if not any(fnmatch(name, pattern) for name in written for pattern in patterns):
        return
    for pattern in patterns:
        for path in folder.glob(pattern):
            if path.name not in written:
                path.unlink(missing_ok=True)


def write_json(path: Path, content: object) -> None:
    """Write a readable JSON file, atomically."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, text.encode())


def unwritable(path: Path, error: OSError) -> OutputError:
    """The error for a place that could not be written."""
    return OutputError(
        "The output must be writable, with room for it.",
        received=f"{error.strerror or error} for {path}",
        remedy="Free some space or choose another place; what stood there before is unchanged.",
    )


def _what_is_there(path: Path) -> str:
    folder = path.parent
    if not folder.exists():
        return f"no folder {folder}"
    if not folder.is_dir():
        return f"the file {folder}"
    names = sorted(entry.name for entry in folder.iterdir())
    listed = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return f"{folder} holding {listed}" if names else f"{folder}, which is empty"
