"""A vocabulary cut down to what a corpus uses, and the model's rows with it.

Words are taken apart into the longest pieces from the left. The pieces that are found on the way through a
word stay, also through one that becomes unknown because nothing goes on after them: of fewer pieces they are
still the longest, and where none went on, none does. So on that corpus tokens, up to their numbers, and
outputs stay what they were. Other words may become unknown.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from distilbert.core.checkpoint import survey
from distilbert.core.config import BertConfig, EncoderConfig, read_config
from distilbert.core.facts import read_facts
from distilbert.core.files import FACTS_FILE, write_json
from distilbert.core.hub import local_folder
from distilbert.core.output import new_folder
from distilbert.core.parameters import Head, file_aliases, is_of_vocabulary, manifest
from distilbert.core.progress import Progress, silent
from distilbert.core.sentence_folders import encoder_folder, read_modules, write_modules
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.weight_files import Arrays, Weights, write_arrays
from distilbert.errors import DataError

#: Texts that are tokenised at once.
_CHUNK = 1000


@dataclass(frozen=True)
class Trimmed:
    """How much was cut.

    Attributes:
        tokens: that are kept.
        of_tokens: that there were.
        parameters: numbers of the new weights.
        of_parameters: of the old ones.
    """

    tokens: int
    of_tokens: int
    parameters: int
    of_parameters: int


def trim(
    model: str | Path,
    texts: Iterable[str],
    *,
    out: str | Path,
    keep: Sequence[str] = (),
    force: bool = False,
    progress: Progress = silent,
) -> Trimmed:
    """Write a folder whose model gives the same outputs on ``texts``, and has no rows for other tokens.

    Args:
        model: a folder or hub name of a BERT or DistilBERT, with whatever head.
        texts: all that the model is to understand.
        out: the new folder.
        keep: tokens that are kept though no text has them; special and added ones always are.
        force: replace a model that stands at ``out``.
        progress: told of every thousand texts.

    Raises:
        CheckpointError: the folder cannot be read.
        HubError: neither a folder nor a repository that can be read.
        DataError: no text, or a token to keep that the vocabulary does not have.
        OutputError: ``out`` is taken or cannot be written.
    """
    whole = local_folder(model)
    model = encoder_folder(whole)
    config = read_config(model)
    tokenizer = DistilBertTokenizerFast.from_pretrained(model)
    with new_folder(out, force=force) as folder:
        kept = sorted(_used(tokenizer, texts, progress) | _named(tokenizer, keep))
        new_ids = {old: new for new, old in enumerate(kept)}
        trimmed, count, before = _rows(model, config, kept)
        was = tokenizer.added_tokens_decoder
        smaller = tokenizer.with_ids(
            {token: new_ids[i] for token, i in tokenizer.own_vocab.items() if i in new_ids},
            {new_ids[i]: token for i, token in was.items()},
        )
        config.vocab_size, config.pad_token_id = len(kept), new_ids[config.pad_token_id]
        config.save_pretrained(folder)
        write_arrays(folder, trimmed)
        kind = "BertTokenizer" if isinstance(config, BertConfig) else "DistilBertTokenizer"
        smaller.save_pretrained(folder, tokenizer_class=kind)
        if modules := read_modules(whole):
            write_modules(folder, modules)
        result = Trimmed(len(kept), len(tokenizer), count, before)
        write_json(folder / FACTS_FILE, {**read_facts(model), "trimmed": vars(result)})
    return result


def _used(tokenizer: DistilBertTokenizerFast, texts: Iterable[str], progress: Progress) -> set[int]:
    used: set[int] = set()
    done = 0
    remaining = iter(texts)
    while chunk := list(islice(remaining, _CHUNK)):
        unknown = []
        for text, ids in zip(chunk, tokenizer.encode_texts(chunk).input_ids, strict=True):
            found = set(ids.tolist())
            used |= found
            if tokenizer.unk_token_id in found:
                unknown.append(text)
        used |= tokenizer.begun_pieces(unknown)
        done += len(chunk)
        progress("look for tokens", done, None, {"used": len(used)})
    if not done:
        raise DataError(
            "A vocabulary is trimmed to the tokens of texts.",
            received="no text",
            remedy="Name a file that holds all that the model is to understand.",
        )
    return used | set(tokenizer.added_tokens_decoder) | set(tokenizer.all_special_ids)


def _named(tokenizer: DistilBertTokenizerFast, tokens: Sequence[str]) -> set[int]:
    known = tokenizer.get_vocab()
    if unknown := [token for token in tokens if token not in known]:
        raise DataError(
            "Tokens to keep must be in the vocabulary.",
            received=", ".join(unknown),
            remedy="Spell them as the vocabulary does, pieces that go on a word with ## before them.",
        )
    return {known[token] for token in tokens}


def _rows(folder: str | Path, config: EncoderConfig, kept: Sequence[int]) -> tuple[Arrays, int, int]:
    """The arrays as the file names them, a vocabulary's with these rows only; their sizes now and before."""
    parameters = [p for p in manifest(config, Head.MASKED_LM) if is_of_vocabulary(p)]
    survey(folder, parameters, config)  # their shapes are the configuration's
    names = {name for parameter in parameters for name in file_aliases(parameter, config)}
    arrays: Arrays = {}
    before = 0
    with Weights(folder) as file:
        for name in file.shapes:
            array = file[name]
            before += array.size
            arrays[name] = array[np.asarray(kept)] if name in names else array
    return arrays, sum(array.size for array in arrays.values()), before
