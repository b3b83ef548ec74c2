"""A tag for each word of a text: entities as BIO or BIOES, or plain tags such as parts of speech."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from distilbert.core.config import IGNORED_LABEL, EncoderConfig
from distilbert.core.data.readers import Reader
from distilbert.core.data.sources import TEXT_COLUMNS
from distilbert.core.data.token_rows import Array, TokenRows
from distilbert.core.parameters import Head
from distilbert.core.reference import log_softmax
from distilbert.core.tasks.examples import Examples, Field, Numbered, as_text, find, gather, known_columns
from distilbert.core.tasks.metrics import Metric, mean_accuracy, span_f1, span_precision, span_recall
from distilbert.core.tasks.sequence_classification import matching_labels, refuse_unknown
from distilbert.core.tasks.tags import WordSpan, have_spans, in_order, read_tags, spans, tags_of
from distilbert.core.tasks.words import joined, split, windows_of_words
from distilbert.core.text.samples import is_text
from distilbert.errors import ConfigError, DataError

#: Columns of the words, of their tags, and of spans of characters, in the order in which they are looked for.
WORD_COLUMNS = ("tokens", "words")
TAG_COLUMNS = ("tags", "ner_tags", "ner", "pos_tags", "labels")
SPAN_COLUMNS = ("entities", "spans")


class Entity(NamedTuple):
    """What a model found: characters ``[start, end)`` of the text, and how likely they are on average."""

    label: str
    start: int
    end: int
    text: str
    score: float


@dataclass(frozen=True)
class Tagged:
    """What a model says of one text.

    Attributes:
        entities: spans under a label; of plain tags, each word under its tag.
        words: of the text.
        tags: one a word.
    """

    entities: tuple[Entity, ...]
    words: tuple[str, ...]
    tags: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        entities = [entity._asdict() for entity in self.entities]
        return {**asdict(self), "entities": entities, "words": list(self.words), "tags": list(self.tags)}

    def __str__(self) -> str:
        return ", ".join(f"{e.text} [{e.label} {e.start}:{e.end}]" for e in self.entities)


@dataclass(frozen=True)
class TokenClassification:
    """The task of a folder: which tags there are, in the order of the logits."""

    labels: tuple[str, ...]

    name: ClassVar[str] = "token-classification"
    head: ClassVar[Head] = Head.TOKEN_CLASSIFICATION
    columns: ClassVar[tuple[str, ...]] = ("tokens", "tags", "text", "entities")
    inputs: ClassVar[tuple[str, ...]] = ("text",)
    target: ClassVar[str] = "tags"
    single: ClassVar[bool] = True

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """F1, precision and recall of entities, where tags are of such, and the share of right tags."""
        if not have_spans(self.labels):
            return {"accuracy": mean_accuracy}
        return {"f1": span_f1, "precision": span_precision, "recall": span_recall, "accuracy": mean_accuracy}

    # Which columns it reads.

    @classmethod
    def fits(cls, rows: Numbered, wanted: Mapping[str, str]) -> bool:
        """Whether a table has lists of words, or spans of characters."""
        first = rows[0][1]
        if "tokens" in wanted or "entities" in wanted:
            return True
        return any(isinstance(first.get(name), list) for name in (*WORD_COLUMNS, *SPAN_COLUMNS))

    @classmethod
    def read(
        cls,
        rows: Numbered,
        *,
        source: str,
        columns: Mapping[str, str],
        labelled: bool = True,
        files: bool = True,
    ) -> Examples:
        """Examples of a table's rows: ``text``, its ``words`` and their ``offsets`` in it, and ``tags``.

        A row has lists of words and tags (or texts of such, with spaces between), or a text with
        ``entities``: each an object with ``start``, ``end`` and ``label``, in characters.

        Raises:
            DataError: a column that is not there, or a field that cannot be used.
        """
        known_columns(columns, cls.columns, task=cls.name)
        names = list(rows[0][1])
        ways = {"task": cls.name, "source": source}
        given = columns.get("tokens") or next((name for name in WORD_COLUMNS if name in names), None)
        if given is not None and "entities" not in columns:
            tokens = find(names, WORD_COLUMNS, wanted=columns.get("tokens"), what="the words", **ways)
            fields = {"words": Field(tokens, _words, "Every row must have a list of words.")}
            if labelled:
                tags = find(names, TAG_COLUMNS, wanted=columns.get("tags"), what="the tags", **ways)
                fields["tags"] = Field(tags, _tags, "Every row must have a list of tags.")
            return _of_words(gather(cls.name, rows, fields, source=source, files=files), given)
        text = find(names, TEXT_COLUMNS, wanted=columns.get("text"), what="the text", **ways)
        fields = {"text": Field(text, as_text, "Every row must have a text.")}
        if labelled:
            entities = find(names, SPAN_COLUMNS, wanted=columns.get("entities"), what="the entities", **ways)
            rule = "Every entity must have a label, and a start and an end within the text."
            pairs = [(n, {**row, entities: (row.get(entities), row.get(text))}) for n, row in rows]
            fields["entities"] = Field(entities, lambda both: _entities(*both), rule)
            return _of_spans(gather(cls.name, pairs, fields, source=source, files=files))
        return gather(cls.name, rows, fields, source=source, files=files)

    # How tags become ids and back.

    @classmethod
    def of(cls, examples: Examples) -> Self:
        """The task that examples set.

        Raises:
            DataError: there is one tag only.
        """
        names = {tag for row in examples.columns["tags"] for tag in row}
        if len(names) < 2:
            raise DataError(
                "Tags must be at least two to be told apart.",
                received=f"only {', '.join(names) or 'none'} in {examples.source}",
                remedy="Add rows with other tags.",
            )
        return cls(in_order(names))

    def truth(self, examples: Examples, *, source: str) -> Array:
        """How many entities and how many words each text has, [rows, 2].

        Raises:
            DataError: a tag that this task does not have.
        """
        rows = examples.columns["tags"]
        at = [examples.at(i) for i in range(len(rows))] if examples.lines else ()
        refuse_unknown({tag for row in rows for tag in row}, rows, self.labels, source=source, at=at)
        count = spans if have_spans(self.labels) else lambda tags: ()
        return np.array([[sum(1 for _ in count(tags)), len(tags)] for tags in rows], np.int64).reshape(-1, 2)

    def targets(self, examples: Examples, rows: TokenRows, *, source: str) -> list[Array]:
        """What each row is to be told, [S]: the tag's id at each word's first piece, nothing elsewhere."""
        if "tags" in examples.columns:
            self.truth(examples, source=source)
        id_of = {name: i for i, name in enumerate(self.labels)}
        assert rows.of is not None
        assert rows.places is not None
        targets = []
        for ids, example, places in zip(rows.input_ids, rows.of, rows.places, strict=True):
            target = np.full(len(ids), IGNORED_LABEL, np.int64)
            if "tags" in examples.columns:
                tags = examples.columns["tags"][example]
                target[places[:, 0]] = [id_of[tags[word]] for word in places[:, 1]]
            targets.append(target)
        return targets

    # How examples become rows, and logits answers.

    def encode(self, reader: Reader, examples: Examples, *, max_length: int) -> TokenRows:
        """A row for each text, or several where it is long; nothing is cut."""
        pieces = reader.words(examples.columns["text"], _offsets_of(examples))
        return windows_of_words(pieces, reader.frame, max_length=max_length)

    def answers(
        self, logits: Sequence[Array], examples: Examples, rows: TokenRows | None = None
    ) -> list[Tagged]:
        """What the logits [S, C] of each text's rows say."""
        assert rows is not None
        answers = []
        texts, words, places = examples.columns["text"], _words_of(examples), _offsets_of(examples)
        every = self.likely(logits, examples, rows)
        for text, own, offsets, likely in zip(texts, words, places, every, strict=True):
            tags = [self.labels[i] for i in likely.argmax(axis=1)] if len(own) else []
            best = likely.max(axis=1) if len(own) else likely
            found = (
                spans(tags)
                if have_spans(self.labels)
                else (WordSpan(tag, i, i + 1) for i, tag in enumerate(tags))
            )
            entities = []
            for label, start, end in found:
                first, last = offsets[start][0], offsets[end - 1][1]
                entities.append(Entity(label, first, last, text[first:last], float(best[start:end].mean())))
            answers.append(Tagged(tuple(entities), tuple(own), tuple(tags)))
        return answers

    def told(self, logits: Sequence[Array], examples: Examples, rows: TokenRows | None = None) -> Array:
        """How many entities were told, how many of them are true, and how many tags are right, [rows, 3]."""
        counts = []
        for answer, truth in zip(self.answers(logits, examples, rows), examples.columns["tags"], strict=True):
            right = sum(map(str.__eq__, answer.tags, truth))
            found, true = (
                (set(spans(tags)) for tags in (answer.tags, truth)) if have_spans(self.labels) else ((), ())
            )
            counts.append((len(found), len(set(found) & set(true)), right))
        return np.array(counts, np.int64).reshape(-1, 3)

    def asked(self, examples: Examples, rows: TokenRows) -> Examples:
        """What a teacher is asked: the same texts, which it cuts to rows of its own."""
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
        """A teacher's logits at this model's rows: they meet at the words."""
        sizes = [len(words) for words in _words_of(examples)]
        of_words = self._of_words(logits, asked, sizes)
        assert rows.of is not None
        assert rows.places is not None
        made = []
        for ids, example, places in zip(rows.input_ids, rows.of, rows.places, strict=True):
            soft = np.full((len(ids), len(self.labels)), np.nan, np.float32)
            soft[places[:, 0]] = of_words[example][places[:, 1]]
            made.append(soft)
        return made

    def _of_words(self, logits: Sequence[Array], rows: TokenRows, sizes: Sequence[int]) -> list[Array]:
        """The logits of each text's words, [words, C]; not a number for words that no row answers for."""
        found = [np.full((size, len(self.labels)), np.nan, np.float64) for size in sizes]
        assert rows.of is not None
        assert rows.places is not None
        for own, example, places in zip(logits, rows.of, rows.places, strict=True):
            found[example][places[:, 1]] = own[places[:, 0]]
        return found

    def likely(self, logits: Sequence[Array], examples: Examples, rows: TokenRows) -> list[Array]:
        """Probabilities of tags, [words, C] of each text; of a word that no row holds the first's is 1."""
        likely = []
        for own in self._of_words(logits, rows, [len(words) for words in _words_of(examples)]):
            unread = np.isnan(own[:, :1])
            nothing = np.where(np.arange(len(self.labels)) == 0, 0.0, -np.inf)
            likely.append(np.exp(log_softmax(np.where(unread, nothing, own))))
        return likely

    # What a folder knows of it.

    def configure(self, config: EncoderConfig) -> None:
        """Enter the tags into a model's configuration."""
        config.id2label = dict(enumerate(self.labels))
        config.label2id = {label: i for i, label in enumerate(self.labels)}
        config.problem_type = None

    def has_head(self, config: EncoderConfig) -> bool:
        """Whether a head of that configuration tells these tags."""
        return tuple(config.id2label[i] for i in range(config.num_labels)) == self.labels

    def facts(self) -> dict[str, Any]:
        """What ``distilbert.json`` remembers of the task."""
        return {"name": self.name, "labels": list(self.labels)}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        return cls(tuple(facts["labels"]))

    @classmethod
    def from_config(cls, config: EncoderConfig, facts: Mapping[str, Any], *, folder: object) -> Self:
        """The task of a folder.

        Raises:
            ConfigError: two of its tags have one name.
        """
        labels = tuple(config.id2label[i] for i in range(config.num_labels))
        if len(set(labels)) < len(labels):
            raise ConfigError(
                "Tags must have names of their own.",
                received=f"labels {', '.join(labels)}, in {folder}",
                remedy="Correct id2label in its config.json.",
            )
        return cls(labels)

    def matching(self, other: Any) -> list[int]:
        """The order in which another model's logits are this one's.

        Raises:
            ConfigError: it has other tags, or none.
        """
        if not isinstance(other, TokenClassification):
            raise ConfigError(
                "A teacher of tags must tell tags.",
                received=f"a teacher for {getattr(other, 'name', 'something else')}",
                remedy="Fine-tune the teacher on the same training data.",
            )
        return matching_labels(self.labels, other.labels)


def _words_of(examples: Examples) -> list[list[str]]:
    """The words of each text, as they were given or as the text is split."""
    return examples.columns.get("words") or [split(text).words for text in examples.columns["text"]]


def _offsets_of(examples: Examples) -> list[list[tuple[int, int]]]:
    """The characters of each word of each text."""
    return examples.columns.get("offsets") or [split(text).offsets for text in examples.columns["text"]]


def _words(value: Any) -> list[str] | None:
    value = value.split() if isinstance(value, str) else value
    good = isinstance(value, list) and value and all(isinstance(word, str) and word.strip() for word in value)
    return value if good and is_text(value) else None


def _tags(value: Any) -> list[str] | None:
    value = value.split() if isinstance(value, str) else value
    if not isinstance(value, list):
        return None
    tags = [as_text(tag) for tag in value]
    return None if None in tags else read_tags([tag for tag in tags if tag is not None])


def _of_words(examples: Examples, column: str) -> Examples:
    """Examples of words: their text, with the words' places in it.

    Raises:
        DataError: a row has another number of tags than of words.
    """
    for row, (words, tags) in enumerate(examples.rows("words", "tags")):
        if tags is not None and len(words) != len(tags):
            raise DataError(
                "Every word must have a tag.",
                received=f"{len(words)} words and {len(tags)} tags at {examples.at(row)}",
                remedy="Correct the row, or remove it.",
            )
    texts = [joined(words) for words in examples.columns["words"]]
    placed: dict[str, list[Any]] = {
        "text": [text for text, _ in texts],
        "offsets": [offsets for _, offsets in texts],
    }
    return replace(examples, columns={**placed, **examples.columns})


def _entities(value: Any, text: Any) -> list[tuple[str, int, int]] | None:
    """Spans of characters, in order."""
    if not isinstance(value, list) or not isinstance(text, str):
        return None
    found = []
    for entity in value:
        if isinstance(entity, dict):
            entity = [entity.get("start"), entity.get("end"), entity.get("label", entity.get("type"))]
        if not isinstance(entity, list | tuple) or len(entity) != 3:
            return None
        start, end, label = entity
        whole = all(isinstance(at, int) and not isinstance(at, bool) for at in (start, end))
        if not whole or not 0 <= start < end <= len(text) or as_text(label) is None:
            return None
        found.append((str(label), start, end))
    return sorted(found, key=lambda entity: entity[1:])


def _of_spans(examples: Examples) -> Examples:
    """Examples of texts with spans of characters: words, and BIO tags of those that a span has characters of.

    Raises:
        DataError: two spans share a word.
    """
    columns: dict[str, list[Any]] = {"text": [], "words": [], "offsets": [], "tags": []}
    for row, (text, entities) in enumerate(examples.rows("text", "entities")):
        words, offsets = split(text)
        found, done = [], 0
        for label, start, end in entities:
            held = [i for i, (first, last) in enumerate(offsets) if first < end and last > start]
            if not held:
                continue  # nothing but spaces
            if held[0] < done:
                raise DataError(
                    "Entities must not share a word.",
                    received=f"{text[start:end]!r:.60} at characters {start} to {end} of {examples.at(row)}",
                    remedy="Keep one of those that do.",
                )
            found.append(WordSpan(label, held[0], held[-1] + 1))
            done = held[-1] + 1
        values = {"text": text, "words": words, "offsets": offsets, "tags": tags_of(found, len(words))}
        for name, value in values.items():
            columns[name].append(value)
    return replace(examples, columns=columns)
