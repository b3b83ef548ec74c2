"""A folder that appears only when it is complete.

Work is done in a hidden sibling; the rename at the end is the only moment at which the old gives way to
the new. Whatever goes wrong before, the old folder is as it was.
"""

import ctypes
import errno
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

from distilbert.core.files import (
    CONFIG_FILE,
    FACTS_FILE,
    TOKENIZER_CONFIG_FILE,
    drop_superseded,
    make_folder,
    unwritable,
)
from distilbert.core.locks import hold
from distilbert.errors import DistilBertError, OutputError

#: The files of a tokenizer, and of a model. In a folder that is replaced they go, as parts of two models make
#: none; all that is not written anew otherwise is carried over.
_TOKENIZERS = r"vocab\.txt|(tokenizer|tokenizer_config|special_tokens_map|added_tokens)\.json"
_TOKENIZERS_OWN = re.compile(_TOKENIZERS)
_OURS = re.compile(
    rf"config\.json|distilbert\.json|{_TOKENIZERS}"
    r"|modules\.json|sentence_bert_config\.json|config_sentence_transformers\.json"
    r"|(model|pytorch_model|tf_model|flax_model)(\.[\w-]+)??(-\d{5}-of-\d{5})?\.(safetensors|bin|h5|msgpack)"
    r"(\.index(\.[\w-]+)?\.json)?"
    r"|model\.onnx|openvino_model\.(xml|bin|blob)|runtimes"
)

#: Where ``filling`` writes, and after how long nobody does any more.
_PARTIAL = re.compile(r"\.[0-9a-f]{8}\.partial")
_ABANDONED_SECONDS = 24 * 3600

#: Names that are tried for a folder under way, each of which another run may remove before it is held.
_TRIES = 5

#: RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS; AT_FDCWD.
_SWAP, _CURRENT_FOLDER = 2, -100

#: What a disk, a quota or a limit says when there is no more room.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def new_folder(path: str | Path, *, force: bool = False) -> Iterator[Path]:
    """A folder to fill, which becomes ``path`` when the block ends well and vanishes otherwise.

    Args:
        path: the folder to make; its parents are made too.
        force: replace a model that stands there. Files in it that no model has are carried over.

    Raises:
        OutputError: ``path`` is taken, or cannot be written. Raised before the block runs where possible.
    """
    path = _resolved(Path(path))
    refuse_taken(path, force=force)
    _drop_killed(path)
    for left in reversed(range(_TRIES)):
        partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
        try:
            partial.mkdir(parents=True)
        except OSError as error:
            raise unwritable(path, error) from error
        held = hold(partial)
        if held is not None or not left:
            break
        # Another run took it for a killed one's before it was held; or nothing can be held here.
        shutil.rmtree(partial, ignore_errors=True)
    try:
        yield partial
        refuse_taken(path, force=force)  # another run may have finished first
        _put(partial, path)
    except OSError as error:
        if error.errno in _FULL:
            raise unwritable(path, error) from error
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if held is not None:
            os.close(held)


def _drop_killed(path: Path) -> None:
    """Remove what runs that were killed left of this folder: what no living process holds."""
    for entry in path.parent.glob(f".{escape(path.name)}.*.partial"):
        if _PARTIAL.fullmatch(entry.name[1 + len(path.name) :]) and not entry.is_symlink():
            held = hold(entry)
            if held is not None:
                shutil.rmtree(entry, ignore_errors=True)
                os.close(held)


@contextmanager
def filling(path: str | Path, *, variant: str | None = None) -> Iterator[Path]:
    """A folder to write files into, which move to ``path`` when the block ends well; others there stay.

    Until then nothing at ``path`` changes, so that a full disk costs nothing. What says how others are to be
    read (``config.json``, an index) moves last. Then weights go that new ones have superseded, and what
    a killed save has left.

    Args:
        path: the folder.
        variant: of the weights, as ``drop_superseded``.

    Raises:
        OutputError: the place cannot be written.
    """
    path = _resolved(Path(path))
    make_folder(path)
    partial = path / f".{secrets.token_hex(4)}.partial"
    try:
        partial.mkdir()
        yield partial
        for entry in partial.rglob("*"):
            if entry.is_dir():
                make_folder(path / entry.relative_to(partial))
        files = [file.relative_to(partial) for file in partial.rglob("*") if file.is_file()]
        for file in sorted(files, key=lambda file: (file.suffix == ".json", -len(file.parts), file.name)):
            os.replace(partial / file, path / file)
        drop_superseded(path, {file.as_posix() for file in files}, variant=variant)
        _drop_abandoned(path)
    except OSError as error:
        if isinstance(error, DistilBertError):
            raise
        raise unwritable(path, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _drop_abandoned(path: Path) -> None:
    """Remove what saves into a folder left that were killed; one that is under way is not a day old."""
    for entry in path.glob(".*.partial"):
        if _PARTIAL.fullmatch(entry.name) and time.time() - entry.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(entry, ignore_errors=True)


def _resolved(path: Path) -> Path:
    try:
        path = path.resolve()
        path.exists()  # a name that is too long says so only when it is asked for
    except OSError as error:
        raise unwritable(path, error) from error
    except ValueError as error:  # a name with a zero in it
        raise unwritable(Path(ascii(str(path))), OSError(str(error))) from error
    except RuntimeError as error:  # Python 3.11 and 3.12 for a circle of links
        raise unwritable(path, OSError(str(error))) from error
    return path


def refuse_taken(path: Path, *, force: bool) -> None:
    """Raise where ``new_folder`` would have to destroy something it may not."""
    if not os.path.lexists(path):
        return
    if path.is_dir() and not any(path.iterdir()) and not _is_held(path):
        return
    rule = "The output folder must be new or empty."
    if not path.is_dir():
        raise OutputError(rule, received=f"the file {path}", remedy="Choose another folder.")
    if _is_held(path):
        raise OutputError(
            rule,
            received=f"{path}, which is the current folder or a mount point",
            remedy="Choose a new folder inside it.",
        )
    if not (_holds_model(path) or _is_tokenizer(path)):
        raise OutputError(
            rule,
            received=f"{path}, which holds files that are not a model's",
            remedy="Choose another folder.",
        )
    if not force:
        raise OutputError(
            rule,
            received=f"{path}, which already holds a {'model' if _holds_model(path) else 'tokenizer'}",
            remedy="Choose another folder, or add --force (force=True) to replace it.",
        )


def _is_held(path: Path) -> bool:
    """A folder that cannot be renamed away: a mount point, or one that this process stands in."""
    return os.path.ismount(path) or Path.cwd().is_relative_to(path)


def _put(partial: Path, path: Path) -> None:
    old = partial.with_suffix(".old")
    if path.exists():
        # Under this name nobody takes what stood there for what a killed run left.
        partial.rename(old)
        if _exchanged(old, path):
            _carry_over(old, path)
            shutil.rmtree(old, ignore_errors=True)
            return
        old.rename(partial)
    try:
        if path.exists():
            path.rename(old)
        try:
            partial.rename(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
    except OSError as error:
        raise unwritable(path, error) from error
    if old.exists():
        _carry_over(old, path)
        shutil.rmtree(old)


def put_in_place(folder: Path, path: str | Path) -> None:
    """Give a folder that is complete its place, which must be new or empty.

    Raises:
        OutputError: ``path`` is taken, or cannot be written.
    """
    path = _resolved(Path(path))
    refuse_taken(path, force=False)
    _put(folder, path)


def _exchanged(one: Path, other: Path) -> bool:
    """Whether two folders have changed places, in one step that no crash can halve; not every system can."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            exchange = library.renamex_np
            arguments = (os.fsencode(one), os.fsencode(other), ctypes.c_uint(_SWAP))
        else:
            exchange = library.renameat2
            here = ctypes.c_int(_CURRENT_FOLDER)
            arguments = (here, os.fsencode(one), here, os.fsencode(other), ctypes.c_uint(_SWAP))
        return exchange(*arguments) == 0
    except (AttributeError, OSError, TypeError):  # another system, or an older one
        return False


def _carry_over(old: Path, new: Path) -> None:
    """Move what is not the old model's from its folder into the new one, whole folders and links too."""
    replaced = _OURS if _holds_model(new) else _TOKENIZERS_OWN if _is_tokenizer(new) else None
    for entry in old.iterdir():
        target = new / entry.name
        if os.path.lexists(target):
            if not target.is_symlink() and target.is_dir() and not entry.is_symlink() and entry.is_dir():
                _carry_over(entry, target)
        elif not (replaced and replaced.fullmatch(entry.name)):
            entry.rename(target)


def _holds_model(path: Path) -> bool:
    return (path / CONFIG_FILE).exists() or (path / FACTS_FILE).exists()


def _is_tokenizer(path: Path) -> bool:
    """Whether a folder holds the files of a tokenizer, and no others."""
    names = {entry.name for entry in path.iterdir()}
    return TOKENIZER_CONFIG_FILE in names and all(map(_TOKENIZERS_OWN.fullmatch, names))
