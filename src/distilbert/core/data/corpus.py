"""Running text as the sequences of a masked language model, made once and read from the disk.

Text is cut as the published distillation cuts it. What comes of it lies in a folder named by a fingerprint
of all that decides it: the tokenizer, the lengths, and the files or the text itself.
"""

import json
import logging
import os
import shutil
import weakref
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np

from distilbert.core.data.caches import Building, cache_folder, verify
from distilbert.core.data.cutting import Cutter, Parts, batches, ends_for
from distilbert.core.data.texts import Source, TextFiles, texts_of
from distilbert.core.progress import Progress, silent
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.text.samples import bad_text, is_text
from distilbert.errors import ConfigError, DataError

logger = logging.getLogger(__name__)

Ids = np.ndarray[Any, np.dtype[np.int32]]
Lengths = np.ndarray[Any, np.dtype[np.int64]]

#: Of the folder's files, and of how text is cut. Another one makes all that is kept anew.
_FORMAT = 2

_IDS, _ENDS, _FACTS = "ids.bin", "ends.bin", "facts.json"
_TYPES: dict[str, np.dtype[Any]] = {"uint16": np.dtype("<u2"), "int32": np.dtype("<i4")}
_END_TYPE: np.dtype[Any] = np.dtype("<i8")
_COUNTED = ("texts", "characters", "sequences", "tokens", "left_out")

#: Tokens that are looked at together.
_SLICE = 2**20

_STAGE = "tokenise the text"


C = TypeVar("C", bound="Corpus")


class Corpus:
    """Sequences of tokens, each [CLS] … [SEP], on the disk; what is asked for is read.

    Opening it holds its files against their checksums, of very large ones a part (see ``caches.verify``).

    Args:
        folder: a folder that ``open_corpus`` has made.

    Attributes:
        folder: the same.
        fingerprint: of the text and of all that made these sequences of it.

    Raises:
        DataError: the folder is not whole.
    """

    #: What makes its sequences.
    cutter: ClassVar[type[Cutter]] = Cutter

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self._facts = _read_facts(folder)
            # As plain arrays: a slice of theirs costs a fifth of what one of a memmap does.
            self._ids = np.asarray(np.memmap(folder / _IDS, _TYPES[self._facts["dtype"]], "r"))
            self._ends = np.asarray(np.memmap(folder / _ENDS, _END_TYPE, "r"))
            if (len(self._ids), len(self._ends)) != (self._facts["tokens"], self._facts["sequences"]):
                raise ValueError("files of another size than its facts say")
            lengths = self.lengths
            if lengths.min() < 2 or self._ends[-1] != len(self._ids):
                raise ValueError("ends that are none")
            verify(folder)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(
                "The folder of a tokenised text must be whole.",
                received=f"{folder}: {error}",
                remedy="Remove it; it is made again from the text.",
            ) from None
        self.fingerprint: str = self._facts["fingerprint"]

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, row: int) -> Ids:
        """The ids of a sequence, int32 [S]."""
        if not 0 <= row < len(self):
            raise IndexError(row)
        start = self._ends[row - 1] if row else 0
        return self._ids[start : self._ends[row]].astype(np.int32)

    def __iter__(self) -> Iterator[Ids]:
        return (self[row] for row in range(len(self)))

    @cached_property
    def lengths(self) -> Lengths:
        """In tokens, [rows]."""
        return np.diff(self._ends, prepend=np.int64(0))

    def counts(self, vocab_size: int) -> Lengths:
        """How often each token occurs, [V].

        Raises:
            DataError: a token is beyond the vocabulary.
        """
        found = np.zeros(vocab_size, np.int64)
        for start in range(0, len(self._ids), _SLICE):
            part = np.bincount(self._ids[start : start + _SLICE], minlength=vocab_size)
            if len(part) > vocab_size:
                raise DataError(
                    "Every token must be in the vocabulary.",
                    received=f"token {len(part) - 1}, with a vocabulary of {vocab_size}",
                    remedy="Use the tokenizer that belongs to the model.",
                )
            found += part
        return found

    def facts(self) -> dict[str, Any]:
        """How much text there was, what came of it, and its fingerprint."""
        return {name: self._facts[name] for name in (*_COUNTED, "fingerprint")}

    def _vanishing(self) -> Self:
        """This corpus, whose folder goes when nobody holds it any more."""
        weakref.finalize(self, _remove, self.folder, os.getpid())
        return self


def open_corpus(
    source: Source,
    tokenizer: DistilBertTokenizerFast,
    *,
    column: str | None = None,
    max_length: int,
    min_length: int,
    kind: type[C] = Corpus,  # type: ignore[assignment]  # a default of a type that a call chooses
    cache: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> C:
    """Tokenise a text and cut it into sequences, or open what an earlier call has made of the same files.

    No token is lost to length: what does not fit a sequence begins the next. A sequence is left out that is
    short or mostly unknown. Neither the text nor its tokens are ever in memory whole. Strings and rows are
    tokenised in each call, as only then it shows which they are.

    Args:
        source: files, folders, strings or rows: see ``texts_of``.
        tokenizer: all its rules and its vocabulary are part of the fingerprint.
        column: the text column of tables and rows.
        max_length: tokens of a sequence, special ones included.
        min_length: of a sequence that is kept.
        kind: what is kept of a sequence.
        cache: the folder of all tokenised texts: see ``cache_folder``. Where it may not be written, the
            sequences are kept only as long as the corpus.
        progress: told in megabytes where files are read, else in texts.

    Raises:
        ConfigError: a ``max_length`` without room for a token.
        DataError: a source that cannot be read, or nothing is left of it.
        OutputError: the cache has no room.
    """
    if max_length < 3:
        raise ConfigError(
            "A sequence must have room for [CLS], a token and [SEP].",
            received=f"max_length={max_length}",
            remedy="Choose at least 3.",
        )
    texts = texts_of(source, column=column)
    root = cache_folder(cache)
    making = [_FORMAT, _identity(tokenizer), max_length, min_length]
    if kind is not Corpus:
        making.append(kind.__name__)
    cutter = kind.cutter(tokenizer, max_length=max_length, min_length=min_length)
    if not isinstance(texts, TextFiles):
        given = _Given(texts, len(source) if isinstance(source, Sized) else None)
        with Building(root, "given") as work:
            facts = _fill(work, given, tokenizer, cutter, max_length, min_length, progress)
            return _finish(work, root, _digest([*making, given.content.hexdigest()]), facts, kind)
    state = texts.state()
    fingerprint = _digest([*making, texts.column, state])
    if root and (found := _found(root / fingerprint, kind)):
        logger.info("The tokenised text is opened from %s.", found.folder)
        return found
    with Building(root, fingerprint) as work:
        facts = _fill(work, _Read(texts), tokenizer, cutter, max_length, min_length, progress)
        if texts.state() != state:
            raise DataError(
                "Files of text must stay as they are while they are read.",
                received=f"a change in {texts.paths[0]} or beside it",
                remedy="Run again once they are complete.",
            )
        facts["source"] = [place for place, _, _ in state[:100]]
        return _finish(work, root, fingerprint, facts, kind)


class _Given:
    """Strings and rows that are gone through once: what was in them shows at the end."""

    def __init__(self, texts: Iterable[str], total: int | None) -> None:
        self.texts, self.total, self.done = texts, total, 0
        self.content = blake2b(digest_size=16)

    def __iter__(self) -> Iterator[str]:
        for text in self.texts:
            content = text.encode(errors="surrogatepass")
            self.content.update(len(content).to_bytes(8, "little"))
            self.content.update(content)
            self.done += 1
            yield text


class _Read:
    """Files, with how far they are read in megabytes."""

    def __init__(self, texts: TextFiles) -> None:
        self.texts, self.total = texts, -(-texts.size // 10**6)

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    @property
    def done(self) -> int:
        return -(-self.texts.done // 10**6)


def _fill(
    work: Building,
    source: _Given | _Read,
    tokenizer: DistilBertTokenizerFast,
    cutter: Cutter,
    max_length: int,
    min_length: int,
    progress: Progress,
) -> dict[str, Any]:
    """Write the sequences, and say how much there was."""
    counts = dict.fromkeys(_COUNTED, 0)
    widest = max(tokenizer.get_vocab().values())
    dtype = "uint16" if widest < 2**16 else "int32"
    progress(_STAGE, 0, source.total, {})
    with closing(_tokenised(source, tokenizer, cutter)) as made:
        for parts, part_tokens in made:
            ids_T, lengths = cutter(parts, part_tokens)
            work.append(_IDS, ids_T.astype(_TYPES[dtype]))
            for name, array in cutter.beside.items():
                work.append(name, array)
            work.append(_ENDS, (np.cumsum(lengths) + counts["tokens"]).astype(_END_TYPE))
            counts["texts"] += sum(parts.last)
            counts["characters"] += sum(map(len, parts.parts))
            counts["sequences"] += len(lengths)
            counts["tokens"] += len(ids_T)
            progress(_STAGE, source.done, source.total, {"sequences": counts["sequences"]})
    counts["left_out"] = cutter.left_out
    if not counts["sequences"]:
        raise DataError(
            f"A language model needs text: sequences of at least {min_length} known tokens.",
            received=f"{counts['texts']} texts, none of which gives one",
            remedy="Give longer texts, or lower min_length in the recipe.",
        )
    return {**counts, "format": _FORMAT, "dtype": dtype, "max_length": max_length, "min_length": min_length}


def _tokenised(
    texts: Iterable[str], tokenizer: DistilBertTokenizerFast, cutter: Cutter
) -> Generator[tuple[Parts, list[Any]], None, None]:
    """Batches and their tokens. While one is tokenised, the next is read and the one before written."""

    def tokens(parts: Parts, before: int) -> list[Any]:
        try:
            return cutter.tokens(parts.parts)
        except DataError:
            wrong = next(i for i, part in enumerate(parts.parts) if not is_text(part))
            raise bad_text(before + sum(parts.last[:wrong]), parts.parts[wrong]) from None

    before = 0
    with ThreadPoolExecutor(1) as pool:
        under_way: deque[tuple[Parts, Future[list[Any]]]] = deque()
        for parts in batches(texts, ends_for(tokenizer)):
            under_way.append((parts, pool.submit(tokens, parts, before)))
            before += sum(parts.last)
            if len(under_way) > 1:
                first, future = under_way.popleft()
                yield first, future.result()
        for first, future in under_way:
            yield first, future.result()


def _finish(work: Building, root: Path | None, fingerprint: str, facts: dict[str, Any], kind: type[C]) -> C:
    if root and not work.temporary:
        _found(root / fingerprint, kind)  # what is damaged there makes room
    content = json.dumps({**facts, "fingerprint": fingerprint}, indent=2) + "\n"
    corpus = kind(work.finish(fingerprint, {_FACTS: content.encode()}))
    return corpus._vanishing() if work.temporary else corpus


def _found(folder: Path, kind: type[C]) -> C | None:
    """What an earlier run has made; if it is damaged it goes, where it may be removed."""
    if not folder.is_dir():
        return None
    try:
        return kind(folder)
    except DataError as error:
        logger.warning("The text is tokenised again: what is kept is damaged. %s", error.received)
        shutil.rmtree(folder, ignore_errors=True)
        return None


def _read_facts(folder: Path) -> dict[str, Any]:
    facts = json.loads((folder / _FACTS).read_bytes())
    if facts["format"] != _FORMAT or not isinstance(facts["fingerprint"], str):
        raise ValueError("facts of another format")
    if any(type(facts[name]) is not int for name in _COUNTED):
        raise ValueError("facts that are no numbers")
    return dict(facts)


def _identity(tokenizer: DistilBertTokenizerFast) -> list[Any]:
    """All that decides which ids a text becomes, the library's own version included."""
    import tokenizers

    return [
        tokenizers.__version__,
        tokenizer.backend_tokenizer.to_str(),
        sorted(tokenizer.get_vocab().items()),
        tokenizer.split_special_tokens,
        [tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.unk_token_id],
    ]


def _digest(content: list[Any]) -> str:
    return blake2b(json.dumps(content, ensure_ascii=True).encode(), digest_size=16).hexdigest()


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:  # a fork holds the corpus too
        shutil.rmtree(folder, ignore_errors=True)
