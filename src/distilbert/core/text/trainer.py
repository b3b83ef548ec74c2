"""A WordPiece vocabulary from a corpus, learnt by the ``tokenizers`` library."""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from distilbert.core import rules
from distilbert.core.output import new_folder
from distilbert.core.progress import Progress, silent
from distilbert.core.text.added import AddedToken, Finder, wanted
from distilbert.core.text.fast import DistilBertTokenizerFast
from distilbert.core.text.samples import bad_text, is_text
from distilbert.core.text.vocabulary import several
from distilbert.errors import ConfigError, DataError

#: The published models' number of tokens.
VOCAB_SIZE = 30_522

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

#: Texts between two words of progress.
_EVERY = 1000


def train_tokenizer(
    texts: Iterable[str],
    *,
    vocab_size: int = VOCAB_SIZE,
    min_frequency: int = 2,
    special_tokens: Iterable[str | AddedToken] = (),
    progress: Progress = silent,
    **settings: Any,
) -> DistilBertTokenizerFast:
    """Learn a vocabulary.

    Args:
        texts: the corpus.
        vocab_size: the greatest number of tokens, special ones included (published: 30,522).
        min_frequency: pairs of pieces that are rarer are not joined.
        special_tokens: beside the five published ones, as strings or ``AddedToken``s.
        progress: told of every thousand texts.
        settings: of the tokenizer: ``do_lower_case`` (True where it is not said), ``strip_accents``, …

    Raises:
        ConfigError: a vocabulary that has no room for the corpus's characters, or numbers that are none.
        DataError: no texts, or something that is none.
    """
    from tokenizers import trainers

    size = rules.integer(1)("vocab_size", vocab_size)
    rare = rules.integer(0)("min_frequency", min_frequency)
    further = [AddedToken.read(t, special=True) for t in several("special_tokens", special_tokens)]
    remaining = iter(()) if isinstance(texts, str) or not isinstance(texts, Iterable) else iter(texts)
    first = next(remaining, None)
    if first is None:
        raise DataError(
            "A vocabulary is learnt from texts, one after another.",
            received=f"{texts!r:.80}",
            remedy="Give a list of texts that is not empty, or a file that holds some.",
        )
    special = [*_SPECIAL, *(token.content for token in further)]
    asked = {"do_lower_case": True, **settings}
    blank = {token: i for i, token in enumerate(special)}
    learner = DistilBertTokenizerFast(blank, additional_special_tokens=further, **asked).backend_tokenizer
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=rare,
        special_tokens=special,
        continuing_subword_prefix=asked.get("wordpieces_prefix", "##"),
        show_progress=False,
    )
    # Tokens that stand in the texts already are not learnt again, letter by letter.
    apart = Finder(wanted(((i, AddedToken(t, special=True)) for i, t in enumerate(special)), str))
    texts = _counted(chain([first], remaining), progress)
    parts = (text[f.start : f.end] for text in texts for f in apart(text) if f.id is None)
    learner.train_from_iterator(parts, trainer)
    ids: dict[str, int] = learner.get_vocab(with_added_tokens=True)
    if len(ids) > size:
        raise ConfigError(
            "A vocabulary must have room for every character of the corpus.",
            received=f"vocab_size={size}, of which {len(ids)} are needed at least",
            remedy="Choose a greater one, or a corpus of fewer scripts.",
        )
    return DistilBertTokenizerFast(
        dict(sorted(ids.items(), key=lambda item: item[1])),
        additional_special_tokens=further,
        **asked,
    )


def write_tokenizer(
    texts: Iterable[str], *, out: str | Path, force: bool = False, **options: Any
) -> DistilBertTokenizerFast:
    """``train_tokenizer``, and its folder written to ``out``.

    Raises:
        OutputError: ``out`` is taken or cannot be written.
    """
    with new_folder(out, force=force) as folder:
        tokenizer = train_tokenizer(texts, **options)
        tokenizer.save_pretrained(folder)
    return tokenizer


def _counted(texts: Iterable[Any], progress: Progress) -> Iterator[str]:
    for i, text in enumerate(texts):
        if i % _EVERY == 0:
            progress("read texts", i, None, {})
        if not isinstance(text, str) or not is_text(text):
            raise bad_text(i, text)
        yield text
    progress("learn tokens", 0, None, {})
