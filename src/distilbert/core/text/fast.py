"""The tokenizer backed by the ``tokenizers`` library: BERT's normaliser, splitter and WordPiece."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import numpy as np

from distilbert.core.files import (
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILE,
    VOCAB_FILE,
    read_json,
    write_atomically,
    write_json,
)
from distilbert.errors import CheckpointError, ConfigError, DataError

#: The published tokenizers' longest input, in tokens.
MODEL_MAX_LENGTH = 512

#: Whose tensors a ``return_tensors`` asks for.
_WINGS = {"pt": "torch"}

_SPECIAL_NAMES = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


@dataclass(frozen=True)
class TokenizedTexts:
    """Texts as ids with [CLS] and [SEP] around each, unpadded.

    Attributes:
        input_ids: one int32 array a text.
        dropped: one number a text, of tokens that did not fit the greatest length.
    """

    input_ids: list["np.ndarray[Any, np.dtype[np.int32]]"]
    dropped: "np.ndarray[Any, np.dtype[np.int64]]"

    @property
    def lengths(self) -> "np.ndarray[Any, np.dtype[np.int64]]":
        return np.array([len(ids) for ids in self.input_ids], np.int64)


class DistilBertTokenizerFast:
    """Text to ids and back, with published names, arguments and defaults.

    Args:
        vocab_file: a ``vocab.txt``, one token a line.
        tokenizer_file: a ``tokenizer.json``; it already holds what the other arguments say.
        do_lower_case: fold case, and accents with it where ``strip_accents`` is None.
        tokenize_chinese_chars: a word boundary around every CJK ideograph.
        strip_accents: remove combining marks; None means exactly when lower-casing.
        model_max_length: the longest input in tokens, [CLS] and [SEP] included.

    Raises:
        CheckpointError: a file that is missing or that is not a tokenizer.
        ConfigError: neither file was named, or a special token is not in the vocabulary.
    """

    model_input_names = ("input_ids", "attention_mask")

    def __init__(
        self,
        vocab_file: str | Path | None = None,
        tokenizer_file: str | Path | None = None,
        do_lower_case: bool = True,
        unk_token: str = "[UNK]",
        sep_token: str = "[SEP]",
        pad_token: str = "[PAD]",
        cls_token: str = "[CLS]",
        mask_token: str = "[MASK]",
        tokenize_chinese_chars: bool = True,
        strip_accents: bool | None = None,
        model_max_length: int = MODEL_MAX_LENGTH,
    ) -> None:
        self.do_lower_case = do_lower_case
        self.tokenize_chinese_chars = tokenize_chinese_chars
        self.strip_accents = strip_accents
        self.model_max_length = min(model_max_length, 10**9)  # peers write 1e30 for "no limit"
        self.unk_token, self.sep_token, self.pad_token = unk_token, sep_token, pad_token
        self.cls_token, self.mask_token = cls_token, mask_token
        if tokenizer_file is not None:
            self._backend = _read_tokenizer(Path(tokenizer_file))
        elif vocab_file is not None:
            self._backend = self._build(_read_vocabulary(Path(vocab_file)))
        else:
            raise ConfigError(
                "A tokenizer is read from a file.",
                received="neither vocab_file nor tokenizer_file",
                remedy="Name one of them, or use DistilBertTokenizerFast.from_pretrained(folder).",
            )
        # Sentence encoders' files cut and pad to a length of their own, which here is the caller's to say.
        self._backend.no_truncation()
        self._backend.no_padding()
        self._backend.encode_special_tokens = False
        for name in _SPECIAL_NAMES:
            if self._backend.token_to_id(getattr(self, name)) is None:
                raise ConfigError(
                    "Every special token must be in the vocabulary.",
                    received=f"{name}={getattr(self, name)!r}, which is not",
                    remedy="Name the token that this vocabulary uses, or choose the vocabulary that has it.",
                )

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """From a model folder: its ``tokenizer.json``, or its ``vocab.txt``, with its settings.

        Raises:
            CheckpointError: the folder holds neither, or one that cannot be read.
        """
        folder = Path(folder)
        settings = read_json(folder / TOKENIZER_CONFIG_FILE, missing_is_empty=True)
        known: dict[str, Any] = {
            name: settings[name]
            for name in ("do_lower_case", "tokenize_chinese_chars", "strip_accents", "model_max_length")
            if settings.get(name) is not None
        }
        known.update({name: _content(settings[name]) for name in _SPECIAL_NAMES if settings.get(name)})
        for name, argument in ((TOKENIZER_FILE, "tokenizer_file"), (VOCAB_FILE, "vocab_file")):
            if (folder / name).is_file():
                return cls(**{argument: folder / name, **known})
        raise CheckpointError(
            f"A model folder must hold {TOKENIZER_FILE} or {VOCAB_FILE}.",
            received=f"{folder} without them",
            remedy="Copy them from the folder the model was made from.",
        )

    def save_pretrained(self, folder: str | Path, *, tokenizer_class: str = "DistilBertTokenizer") -> None:
        """Write ``tokenizer.json``, ``vocab.txt`` and ``tokenizer_config.json`` into ``folder``.

        Args:
            folder: made where it is missing.
            tokenizer_class: the published class that other programs are to load it with.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / TOKENIZER_FILE, self._backend.to_str(pretty=True).encode())
        vocabulary = sorted(self._backend.get_vocab(with_added_tokens=False).items(), key=lambda i: i[1])
        write_atomically(folder / VOCAB_FILE, "".join(f"{token}\n" for token, _ in vocabulary).encode())
        settings = {
            "do_lower_case": self.do_lower_case,
            "strip_accents": self.strip_accents,
            "tokenize_chinese_chars": self.tokenize_chinese_chars,
            "model_max_length": self.model_max_length,
            **{name: getattr(self, name) for name in _SPECIAL_NAMES},
            "tokenizer_class": tokenizer_class,
        }
        write_json(folder / TOKENIZER_CONFIG_FILE, settings)

    @property
    def vocab_size(self) -> int:
        return int(self._backend.get_vocab_size(with_added_tokens=False))

    def __len__(self) -> int:
        return int(self._backend.get_vocab_size(with_added_tokens=True))

    @property
    def pad_token_id(self) -> int:
        return self._id(self.pad_token)

    @property
    def unk_token_id(self) -> int:
        return self._id(self.unk_token)

    @property
    def mask_token_id(self) -> int:
        return self._id(self.mask_token)

    @property
    def all_special_ids(self) -> list[int]:
        return [self._id(getattr(self, name)) for name in _SPECIAL_NAMES]

    def get_vocab(self) -> dict[str, int]:
        return dict(self._backend.get_vocab(with_added_tokens=True))

    def tokenize(self, text: str) -> list[str]:
        """The text's tokens, without special ones."""
        ids = self._encode([text], special=False)[0].ids
        return [self._backend.id_to_token(i) for i in ids]

    def encode(self, text: str, *, max_length: int | None = None) -> list[int]:
        """The text's ids, with [CLS] and [SEP]."""
        return [int(i) for i in self.encode_texts([text], max_length=max_length).input_ids[0]]

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """The text of ids, its word pieces joined."""
        return str(self._backend.decode([int(i) for i in ids], skip_special_tokens=skip_special_tokens))

    def encode_texts(self, texts: Iterable[str], *, max_length: int | None = None) -> TokenizedTexts:
        """Many texts at once; what does not fit ``max_length`` is dropped, and counted.

        Raises:
            DataError: something that is not a text of valid Unicode.
        """
        rows: list[np.ndarray[Any, np.dtype[np.int32]]] = []
        dropped = []
        for encoding in self._encode(list(texts), special=True):
            ids = np.array(encoding.ids, np.int32)
            excess = max(0, len(ids) - max_length) if max_length is not None else 0
            if excess:
                ids = np.append(ids[: max_length - 1], ids[-1:])  # type: ignore[operator]
            rows.append(ids)
            dropped.append(excess)
        return TokenizedTexts(rows, np.array(dropped, np.int64))

    def __call__(
        self,
        text: str | Sequence[str],
        *,
        padding: bool = False,
        truncation: bool = False,
        max_length: int | None = None,
        return_tensors: str | None = None,
    ) -> dict[str, Any]:
        """Ids and masks of one text or of many.

        Args:
            text: a text, or a list of them.
            padding: pad the rows to the longest, on the right.
            truncation: cut to ``max_length``, or to ``model_max_length`` where it is None.
            max_length: the greatest length in tokens.
            return_tensors: "np" or "pt" for arrays [B, S]; None for lists.

        Returns:
            ``input_ids`` and ``attention_mask``.
        """
        single = isinstance(text, str)
        limit = (max_length or self.model_max_length) if truncation else None
        texts = [text] if isinstance(text, str) else list(text)
        rows = self.encode_texts(texts, max_length=limit).input_ids
        width = max((len(row) for row in rows), default=0)
        if padding or return_tensors:
            if not padding and len({len(row) for row in rows}) > 1:
                raise DataError(
                    "The rows of one array must be of one length.",
                    received=f"texts of {min(map(len, rows))} to {width} tokens",
                    remedy="Add padding=True.",
                )
            ids = np.full((len(rows), width), self.pad_token_id, np.int64)
            mask = np.zeros_like(ids)
            for i, row in enumerate(rows):
                ids[i, : len(row)], mask[i, : len(row)] = row, 1
            columns: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
        else:
            ids_lists = [[int(i) for i in row] for row in rows]
            columns = {"input_ids": ids_lists, "attention_mask": [[1] * len(row) for row in rows]}
        if return_tensors == "np":
            return columns
        if return_tensors in _WINGS:
            # By name, as whoever asks for a wing's tensors has that wing; the core itself knows none.
            as_tensor = import_module(f"distilbert.{_WINGS[return_tensors]}.tensors").as_tensor
            return {name: as_tensor(column) for name, column in columns.items()}
        if return_tensors is not None:
            raise ConfigError(
                'return_tensors must be "np" or "pt".',
                received=f"return_tensors={return_tensors!r}",
                remedy='Choose "np" or "pt", or leave it out for lists.',
            )
        columns = {n: c.tolist() if isinstance(c, np.ndarray) else c for n, c in columns.items()}
        return {name: column[0] for name, column in columns.items()} if single else columns

    def _id(self, token: str) -> int:
        return int(self._backend.token_to_id(token))

    def _encode(self, texts: list[str], *, special: bool) -> list[Any]:
        try:
            return list(self._backend.encode_batch_fast(texts, add_special_tokens=special))
        except (TypeError, UnicodeEncodeError):
            row, text = next((i, t) for i, t in enumerate(texts) if not _is_text(t))
            raise DataError(
                "A text must be a string of valid Unicode.",
                received=f"{text!r:.80} at row {row}",
                remedy="Remove it, or decode the file it comes from with its own encoding.",
            ) from None

    def _build(self, vocabulary: dict[str, int]) -> Any:
        from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

        specials = [getattr(self, name) for name in _SPECIAL_NAMES]
        if lacking := [token for token in specials if token not in vocabulary]:
            raise ConfigError(
                "Every special token must be in the vocabulary.",
                received=f"a vocabulary without {', '.join(lacking)}",
                remedy="Choose the vocabulary that the model was trained with.",
            )
        backend = Tokenizer(models.WordPiece(vocabulary, unk_token=self.unk_token))
        backend.normalizer = normalizers.BertNormalizer(
            clean_text=True,
            handle_chinese_chars=self.tokenize_chinese_chars,
            strip_accents=self.strip_accents,
            lowercase=self.do_lower_case,
        )
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        backend.post_processor = processors.TemplateProcessing(
            single=f"{self.cls_token}:0 $A:0 {self.sep_token}:0",
            pair=f"{self.cls_token}:0 $A:0 {self.sep_token}:0 $B:1 {self.sep_token}:1",
            special_tokens=[(t, vocabulary[t]) for t in (self.cls_token, self.sep_token)],
        )
        backend.decoder = decoders.WordPiece(prefix="##")
        backend.add_special_tokens(specials)
        return backend


def _read_tokenizer(path: Path) -> Any:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise CheckpointError(
            f"{path.name} must be a whole tokenizer file.",
            received=f"{path}: {error}",
            remedy=f"Restore it, or delete it where {VOCAB_FILE} stands beside it.",
        ) from None


def _read_vocabulary(path: Path) -> dict[str, int]:
    try:
        lines = path.read_bytes().decode().removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(
            "A vocabulary must be a readable UTF-8 file, one token a line.",
            received=f"{path}: {error}",
            remedy="Choose the vocab.txt that the model was trained with.",
        ) from None
    return {token.removesuffix("\r"): i for i, token in enumerate(lines)}


def _content(token: Any) -> str:
    """A special token as published configurations hold it: a string, or an object around one."""
    return str(token["content"] if isinstance(token, dict) else token)


def _is_text(text: object) -> bool:
    if not isinstance(text, str):
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
