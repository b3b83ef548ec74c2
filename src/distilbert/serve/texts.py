"""Texts as tokens and back, for whoever asks for no more."""

from typing import Any

from distilbert.serve.refusals import Invalid
from distilbert.serve.served import Served


def tokenized(
    served: Served, texts: list[str], *, special: bool, prompt_name: str | None = None
) -> list[list[dict[str, Any]]]:
    """The tokens of each text: id, spelling, whether it is special, and its characters."""
    tokenizer = served.main.tokenizer
    before = "" if prompt_name is None else served.prompt(prompt_name)
    made = tokenizer([before + text for text in texts], add_special_tokens=special, verbose=False)
    rows = []
    for encoding in made.encodings or []:
        columns = zip(
            encoding.ids, encoding.tokens, encoding.special_tokens_mask, encoding.offsets, strict=True
        )
        rows.append(
            [
                {
                    "id": number,
                    "text": token,
                    "special": bool(is_special),
                    "start": None if is_special else start,
                    "stop": None if is_special else stop,
                }
                for number, token, is_special, (start, stop) in columns
            ]
        )
    return rows


def decoded(served: Served, rows: list[list[int]], *, skip_special: bool) -> list[str]:
    """The texts that ids stand for.

    Raises:
        Invalid: an id that the vocabulary does not have.
    """
    size = served.main.config.vocab_size
    for row in rows:
        if not all(0 <= number < size for number in row):
            raise Invalid(
                f"Ids are numbers from 0 to {size - 1}. Send tokens of this model's own vocabulary."
            )
    return [served.main.tokenizer.decode(row, skip_special_tokens=skip_special) for row in rows]
