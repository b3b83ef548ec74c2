"""What is the same of every task whose items are whole texts, or pairs of them."""

from collections.abc import Sequence

from distilbert.core.data.readers import Reader
from distilbert.core.data.token_rows import Array, TokenRows
from distilbert.core.tasks.examples import Examples
from distilbert.errors import DataError


class MeetsAtTexts:
    """A task whose teacher, however it takes a text to pieces, answers for the same items."""

    def asked(self, examples: Examples, rows: TokenRows) -> Examples:
        """What a teacher is asked: the same."""
        return examples

    def met(
        self,
        logits: Sequence[Array],
        asked: TokenRows,
        examples: Examples,
        rows: TokenRows,
        *,
        temperature: float,
    ) -> list[Array]:
        """A teacher's logits at this model's items: they meet at the texts."""
        return list(logits)


class OfTexts(MeetsAtTexts):
    """A task with a row for each example: one text, or the two of a pair."""

    pair: bool

    @property
    def single(self) -> bool:
        """Whether an example is one text."""
        return not self.pair

    def encode(self, reader: Reader, examples: Examples, *, max_length: int) -> TokenRows:
        """A row for each example."""
        refuse_single(examples, pair=self.pair)
        return reader.rows(examples.columns["text"], examples.columns.get("text_b"), max_length=max_length)


def refuse_single(examples: Examples, *, pair: bool) -> None:
    """Refuse single texts where a model was trained on pairs.

    Raises:
        DataError: they are single.
    """
    if pair and "text_b" not in examples.columns:
        raise DataError(
            "A model that was trained on pairs reads two texts.",
            received=f"one text a row in {examples.source}",
            remedy='Give rows of {"text_a": …, "text_b": …}, or name the columns: --columns text_b=NAME',
        )
