"""A tokenizer's settings: from arguments, from a folder's files, and back into them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

from distilbert.core import rules
from distilbert.core.files import (
    ADDED_TOKENS_FILE,
    SPECIAL_TOKENS_FILE,
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILE,
    VOCAB_FILE,
    make_folder,
    read_json,
    write_atomically,
)
from distilbert.core.hub import Part, hub_keywords, local_folder
from distilbert.core.output import filling
from distilbert.core.publishing import Publishable
from distilbert.core.text.added import AddedToken
from distilbert.core.text.assembly import Assembly
from distilbert.core.text.folder import (
    frame_content,
    json_text,
    read_arguments,
    tokenizer_content,
    vocabulary_lines,
    without_gaps,
)
from distilbert.core.text.pipeline import Pipeline, cased_as
from distilbert.core.text.vocabulary import several
from distilbert.core.text.vocabulary_files import read_vocabulary
from distilbert.errors import ConfigError

#: The published tokenizers' longest input, in tokens.
MODEL_MAX_LENGTH = 512


class Configured(Assembly, Publishable):
    """What both tokenizers are made with.

    Args:
        vocab_file: a ``vocab.txt``, one token a line; or the vocabulary itself, ids by token.
        tokenizer_file: a ``tokenizer.json``, in place of it.
        do_lower_case: fold case, and accents with it. None: as the file says or the settings beside it, else
            as the vocabulary itself is written. Published: True, whatever the vocabulary.
        unk_token, sep_token, pad_token, cls_token, mask_token: the tokens with a meaning.
        tokenize_chinese_chars: every CJK ideograph is a word (published: True).
        strip_accents: drop combining marks; None means exactly when lower-casing.
        clean_up_tokenization_spaces: decoded text loses the spaces before punctuation and in contractions.
        clean_text: drop control characters, and make every kind of space a plain one (published: True).
        wordpieces_prefix: marks the pieces that go on a word (published: "##").
        additional_special_tokens: further tokens with a meaning; those that are new get ids of their own.
        added_tokens_decoder: added tokens by id, as ``tokenizer_config.json`` holds them; a text alone leaves
            its flags to ``tokenizer_file``.
        split_special_tokens: text that spells a special token is text.
        model_max_length: the longest row in tokens, special ones included.
        padding_side, truncation_side: "right" or "left".
        model_input_names: the columns that a call gives where nothing else is asked for.

    Raises:
        CheckpointError: a file that is missing or that is no vocabulary.
        ConfigError: no file, or a special token that is not in the vocabulary.
    """

    is_fast = False
    slow_tokenizer_class: type | None = None
    vocab_files_names: ClassVar[dict[str, str]] = {"vocab_file": VOCAB_FILE, "tokenizer_file": TOKENIZER_FILE}

    def __init__(
        self,
        vocab_file: str | Path | Mapping[str, int] | None = None,
        tokenizer_file: str | Path | None = None,
        *,
        do_lower_case: bool | None = None,
        do_basic_tokenize: bool | None = None,
        never_split: Iterable[str] | None = None,
        unk_token: Any = "[UNK]",
        sep_token: Any = "[SEP]",
        pad_token: Any = "[PAD]",
        cls_token: Any = "[CLS]",
        mask_token: Any = "[MASK]",
        bos_token: Any = None,
        eos_token: Any = None,
        tokenize_chinese_chars: bool | None = None,
        strip_accents: bool | None = None,
        clean_up_tokenization_spaces: bool = True,
        clean_text: bool | None = None,
        wordpieces_prefix: str | None = None,
        additional_special_tokens: Sequence[str | AddedToken] = (),
        added_tokens_decoder: Mapping[int, str | AddedToken] | None = None,
        split_special_tokens: bool = False,
        model_max_length: int = MODEL_MAX_LENGTH,
        padding_side: str = "right",
        truncation_side: str = "right",
        model_input_names: Sequence[str] | None = None,
    ) -> None:
        source = read_vocabulary(vocab_file, tokenizer_file)
        additional_special_tokens = several("additional_special_tokens", additional_special_tokens or ())
        rules.number(3, float("inf"))("model_max_length", model_max_length)
        flags = {
            "do_lower_case": do_lower_case,
            "do_basic_tokenize": do_basic_tokenize,
            "tokenize_chinese_chars": tokenize_chinese_chars,
            "strip_accents": strip_accents,
            "clean_text": clean_text,
            "clean_up_tokenization_spaces": clean_up_tokenization_spaces,
            "split_special_tokens": split_special_tokens,
        }
        for name, flag in flags.items():
            rules.optional(rules.flag)(name, flag)
        for name, names in (("never_split", never_split), ("model_input_names", model_input_names)):
            if names is not None:
                rules.names(name, names)
        if wordpieces_prefix is not None:
            rules.text("wordpieces_prefix", wordpieces_prefix)
        asked = {
            "do_basic_tokenize": do_basic_tokenize,
            "never_split": None if never_split is None else tuple(never_split),
            "tokenize_chinese_chars": tokenize_chinese_chars,
            "strip_accents": strip_accents,
            "clean_text": clean_text,
            "wordpieces_prefix": wordpieces_prefix,
        }
        changes: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
        stated = source.pipeline
        said = stated.do_lower_case if stated and stated.do_basic_tokenize else None
        if said is None and isinstance(vocab_file, str | Path):
            beside = read_json(Path(vocab_file).parent / TOKENIZER_CONFIG_FILE, missing_is_empty=True)
            said = rules.optional(rules.flag)("do_lower_case", beside.get("do_lower_case"))
        given = added_tokens_decoder or {}
        plain = {i: AddedToken(token) for i, token in given.items() if isinstance(token, str)}
        added = {
            **plain,
            **source.added,
            **{i: AddedToken.read(t) for i, t in given.items() if i not in plain},
        }
        beside_text = {str(token) for token in (*added.values(), *additional_special_tokens)}
        words = [token for token in source.ids if token not in beside_text]
        self._pipeline = cased_as(
            words, replace(source.pipeline or Pipeline(), **changes), asked=do_lower_case, said=said
        )
        self._other_way = source.content
        frame = source.frame
        if frame is not None and frame != (str(cls_token), str(sep_token)):
            raise ConfigError(
                "A tokenizer.json must put the same special tokens around a text as the settings.",
                received=f"{' and '.join(frame)}, where the settings have {cls_token} and {sep_token}",
                remedy="Restore the tokenizer's files from one folder.",
            )
        self._split_special_tokens = split_special_tokens
        self.model_max_length = int(model_max_length)
        self.padding_side, self.truncation_side = padding_side, truncation_side
        # A list, as peers add to it.
        self.model_input_names = list(model_input_names or type(self).model_input_names)
        super().__init__(
            source.ids,
            added=added,
            special={
                "bos_token": bos_token,
                "eos_token": eos_token,
                "unk_token": unk_token,
                "sep_token": sep_token,
                "pad_token": pad_token,
                "cls_token": cls_token,
                "mask_token": mask_token,
            },
            additional_special_tokens=additional_special_tokens,
            prefix=self._pipeline.wordpieces_prefix,
            clean_up_tokenization_spaces=clean_up_tokenization_spaces,
        )

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        revision: str = "main",
        subfolder: str = "",
        **changes: Any,
    ) -> Self:
        """From a model's folder or its repository on a hub, settings included, or from a vocabulary's file.

        Args:
            pretrained_model_name_or_path: the folder, the repository's name, or the file.
            cache_dir, force_download, local_files_only, token, revision, subfolder: as ``local_folder``.
            **changes: arguments of the constructor, in place of what the files say.

        Raises:
            CheckpointError: no vocabulary is there, or one that cannot be read.
            HubError: neither a folder nor a repository that can be read.
        """
        older, changes = hub_keywords(changes)
        place = Path(pretrained_model_name_or_path)
        if not place.is_file():
            place = local_folder(
                pretrained_model_name_or_path,
                wanted={Part.TOKENIZER},
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
                token=older.get("token") if token is None else token,
                revision=revision,
                subfolder=subfolder,
            )
        arguments = read_arguments(place, fast=cls.is_fast)
        return cls(**{**arguments, **changes})

    def save_pretrained(
        self,
        save_directory: str | Path,
        legacy_format: bool | None = None,
        filename_prefix: str | None = None,
        push_to_hub: bool = False,
        *,
        tokenizer_class: str = "DistilBertTokenizer",
        **pushing: Any,
    ) -> tuple[str, ...]:
        """Write every published file: vocabulary, settings, special and added tokens.

        Args:
            save_directory: made where it is missing.
            legacy_format: True leaves ``tokenizer.json`` out.
            filename_prefix: stands before each file's name, with a hyphen.
            push_to_hub: send them to a hub as well.
            tokenizer_class: the published class that other programs are to load it with.
            **pushing: arguments of ``push_to_hub``; without ``repo_id`` the folder's name is taken.

        Returns:
            The files' paths.

        Raises:
            OutputError: the folder cannot be written, or the hub does not take them.
        """
        settings = self._settings()
        if "DistilBert" not in tokenizer_class and self.model_input_names == list(
            type(self).model_input_names
        ):
            # Another class has other usual columns: a BERT is told which text of a pair a token is of.
            del settings["model_input_names"]
        contents = {
            TOKENIZER_CONFIG_FILE: json_text({**settings, "tokenizer_class": tokenizer_class}),
            SPECIAL_TOKENS_FILE: json_text(
                {
                    name: [one.facts() for one in token] if isinstance(token, list) else token.facts()
                    for name, token in self.special_tokens_map_extended.items()
                }
            ),
            VOCAB_FILE: vocabulary_lines(self._vocab),
        }
        if beyond := {
            token.content: i for i, token in self._added.items() if token.content not in self._vocab
        }:
            contents[ADDED_TOKENS_FILE] = json_text(beyond)
        if not legacy_format:
            contents[TOKENIZER_FILE] = json.dumps(self._whole_file(), indent=2, ensure_ascii=False).encode()
        folder = Path(save_directory)
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        with filling(folder) as partial:  # of two tokenizers' files nobody makes one
            for name, content in contents.items():
                write_atomically(partial / f"{prefix}{name}", content)
        # What is sent is what was written: with the same choices.
        chosen = {
            "legacy_format": legacy_format,
            "filename_prefix": filename_prefix,
            "tokenizer_class": tokenizer_class,
        }
        self._push_saved(folder, push_to_hub, {**chosen, **pushing} if push_to_hub else pushing)
        return tuple(str(folder / f"{prefix}{name}") for name in contents)

    def save_vocabulary(self, save_directory: str | Path, filename_prefix: str | None = None) -> tuple[str]:
        """Write ``vocab.txt`` alone."""
        folder = Path(save_directory)
        make_folder(folder)
        path = folder / f"{filename_prefix}-{VOCAB_FILE}" if filename_prefix else folder / VOCAB_FILE
        write_atomically(path, vocabulary_lines(self._vocab))
        return (str(path),)

    @property
    def init_kwargs(self) -> dict[str, Any]:
        """The constructor's arguments, beside the vocabulary, that make such a tokenizer; a copy."""
        return {**self._settings(), "added_tokens_decoder": self.added_tokens_decoder}

    @property
    def split_special_tokens(self) -> bool:
        """Whether text that spells a special token is text."""
        return self._split_special_tokens

    @split_special_tokens.setter
    def split_special_tokens(self, split: bool) -> None:
        self._split_special_tokens = rules.flag("split_special_tokens", split)
        self._vocabulary_changed()

    @property
    def do_basic_tokenize(self) -> bool:
        return self._pipeline.do_basic_tokenize

    @property
    def do_lower_case(self) -> bool:
        return self._pipeline.do_lower_case

    @property
    def strip_accents(self) -> bool | None:
        return self._pipeline.strip_accents

    @property
    def tokenize_chinese_chars(self) -> bool:
        return self._pipeline.tokenize_chinese_chars

    def _settings(self) -> dict[str, Any]:
        """What ``tokenizer_config.json`` holds."""
        return {
            **self._choices(),
            "added_tokens_decoder": {str(i): token.facts() for i, token in self._added.items()},
            **self.special_tokens_map,
        }

    def _choices(self) -> dict[str, Any]:
        """The settings that are not tokens."""
        return {
            "do_lower_case": self.do_lower_case,
            "do_basic_tokenize": self.do_basic_tokenize,
            "never_split": list(self._pipeline.never_split) or None,
            "strip_accents": self.strip_accents,
            "tokenize_chinese_chars": self.tokenize_chinese_chars,
            "clean_text": self._pipeline.clean_text,
            "wordpieces_prefix": self._pipeline.wordpieces_prefix,
            "clean_up_tokenization_spaces": self.clean_up_tokenization_spaces,
            "split_special_tokens": self.split_special_tokens,
            "model_max_length": self.model_max_length,
            "padding_side": self.padding_side,
            "truncation_side": self.truncation_side,
            "model_input_names": list(self.model_input_names),
        }

    def _whole_file(self) -> dict[str, Any]:
        """What ``tokenizer.json`` holds."""
        # The library numbers added tokens by itself, from the vocabulary's end on: no id may be left out.
        own_end = self.vocab_size
        within = {token.content: i for i, token in self._added.items() if i < own_end}
        beyond = {i: AddedToken(f"[unused_{i}]", normalized=False) for i in range(own_end, len(self))}
        content = tokenizer_content(
            self._pipeline,
            without_gaps({**within, **self._vocab}),
            unknown=self.unk_token,
            other_way=self._other_way,
        )
        content["added_tokens"] = [{"id": i, **t.facts()} for i, t in sorted((beyond | self._added).items())]
        content["post_processor"] = frame_content(
            (self.cls_token, self.cls_token_id), (self.sep_token, self.sep_token_id)
        )
        return content

    def _looked_for(self) -> list[tuple[int, AddedToken]]:
        """The added tokens that text is searched for, with their ids; special ones come first."""
        return sorted(self._added.items(), key=lambda item: not item[1].special)
