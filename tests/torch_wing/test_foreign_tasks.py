"""Task teachers of other families: their logits are the peer's, and reach the student at its own tokens."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from foreign_folders import write_foreign
from small_files import SUBJECTS, write_teacher
from task_files import Rows, asked, choices, pairs, scored, several, tagged

from distilbert import Finetuner, Finetuning
from distilbert.core.files import read_json
from distilbert.core.pooling import Normalize
from distilbert.core.sentence_folders import SentenceModules, write_modules
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.question_answering import QuestionAnswering
from distilbert.core.tasks.reading import as_examples, task_named
from distilbert.core.tasks.token_classification import TokenClassification
from distilbert.errors import ConfigError
from distilbert.torch.foreign_tasks import ForeignPredictor, open_as

CPU = torch.device("cpu")
TAGS = ("B-sport", "I-sport", "O", "B-food", "I-food", "B-music", "I-music")
NAMES = ("sport", "food", "music")

#: Rows of a task, and what a folder of such a model is written with; its labels are in no student's order.
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "pairs": (pairs, {"labels": NAMES}),
    "several": (several, {"labels": NAMES, "problem": "multi_label_classification"}),
    "scored": (scored, {"labels": ("LABEL_0",), "problem": "regression"}),
    "choices": (choices, {"head": "MULTIPLE_CHOICE"}),
    "tagged": (tagged, {"head": "TOKEN_CLASSIFICATION", "labels": TAGS}),
    "asked": (asked, {"head": "QUESTION_ANSWERING"}),
}
FAMILIES = ("roberta", "electra")
RECIPE = Finetuning(steps=1, batch_size=8, max_length=24, doc_stride=4, precision="fp32", eval_share=0)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("foreign-tasks")
    write_teacher(root / "bert", layers=1)
    for family in FAMILIES:
        for name, (_, options) in KINDS.items():
            write_foreign(root / family / name, family, **options)
    return root


def rows_of(name: str, count: int = 12, seed: int = 3) -> Rows:
    """Rows with words that no vocabulary has, and with marks; nothing moves by it."""
    rows: Rows = KINDS[name][0](count, seed=seed)
    if name == "tagged":
        for row in rows[::2]:
            row["tokens"][0] = "Xylo-qz's"
    return rows


class Peer:
    """The same folder, run by its own library alone, one row at a time."""

    def __init__(self, folder: Path, name: str) -> None:
        import transformers

        kind = {"choices": "MultipleChoice", "tagged": "TokenClassification", "asked": "QuestionAnswering"}
        model = getattr(transformers, f"AutoModelFor{kind.get(name, 'SequenceClassification')}")
        self.model = model.from_pretrained(folder).eval()
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

    def __call__(self, *texts: Any, **options: Any) -> tuple[Any, Any]:
        """What it says of one text, or pair, and how it was tokenised."""
        made = self.tokenizer(*texts, return_offsets_mapping=True, truncation=True, max_length=38, **options)
        names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in made]
        with torch.no_grad():
            return self.model(**{name: torch.tensor(made[name])[None] for name in names}), made

    def logits(self, row: dict[str, Any]) -> np.ndarray:
        """Of a row of labels, numbers or options."""
        if "choices" in row:
            found, _ = self([row["question"]] * len(row["choices"]), row["choices"], padding=True)
        else:
            found, _ = self(*(row[key] for key in ("text", "text_a", "text_b") if key in row))
        return found.logits[0].numpy()

    def of_words(self, words: list[str]) -> np.ndarray:
        """Of each word what it says of the first token that has a character of it; of none nothing."""
        found, made = self(" ".join(words))
        starts = np.cumsum([0, *(len(word) + 1 for word in words)])[:-1]
        logits = []
        for word, first in zip(words, starts, strict=True):
            inside = [
                i
                for i, ((start, end), of) in enumerate(
                    zip(made["offset_mapping"], made.sequence_ids(0), strict=True)
                )
                if of == 0 and start < first + len(word) and end > first
            ]
            # A piece for the space before a word is the word's first, as the peer counts pieces of words.
            while (before := inside[0] - 1) > 0 and made.word_ids(0)[before] == made.word_ids(0)[inside[0]]:
                inside.insert(0, before)
            logits.append(found.logits[0, inside[0]].numpy())
        return np.stack(logits)


def prepared(folders: Path, family: str, name: str, rows: Rows, **options: Any) -> Any:
    finetuner = Finetuner(folders / "bert", teacher=folders / family / name, recipe=RECIPE, device="cpu")
    return finetuner._prepare(rows, options.pop("unlabelled", ()), None, CPU)


def in_order(name: str, logits: np.ndarray) -> np.ndarray:
    """A peer's logits in the order of the student's labels."""
    if name not in ("pairs", "several", "tagged"):
        return logits
    own = TAGS if name == "tagged" else NAMES
    order = sorted(SUBJECTS) if own is NAMES else TokenClassification.of(as_examples(rows_of(name))).labels
    return logits[..., [own.index(label) for label in order]]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["pairs", "several", "scored", "choices"])
def test_whole_texts_and_pairs(name: str, family: str, folders: Path) -> None:
    """Also unlabelled ones; in the order of the student's labels, and with the texts in their order."""
    rows, more = rows_of(name), rows_of(name, 4, seed=8)
    target = {"several": "labels", "scored": "score", "choices": "answer"}.get(name, "label")
    bare = [{key: value for key, value in row.items() if key != target} for row in more]
    taught = prepared(folders, family, name, rows, unlabelled=bare).objective.taught
    peer = Peer(folders / family / name, name)
    assert len(taught) == len(rows) + len(more)
    apart = 0.0
    for row, own in zip([*rows, *more], taught, strict=True):
        theirs = peer.logits(row)
        assert np.abs(own - in_order(name, theirs)).max() <= 1e-5
        turned = {**row, "text_a": row.get("text_b"), "text_b": row.get("text_a")}
        wrong = in_order(name, peer.logits(turned)) if name == "scored" else theirs[::-1]
        apart = max(apart, float(np.abs(own - wrong).max()))
    assert apart > 1e-3, "not in the folder's own order of labels, not of the texts turned round"


@pytest.mark.parametrize("family", [*FAMILIES, "deberta-v2"])
def test_tags_meet_at_words(family: str, folders: Path) -> None:
    """At the first piece of each word the student has the logits of the teacher's first piece of it."""
    if family not in FAMILIES:
        write_foreign(folders / family / "tagged", family, **KINDS["tagged"][1])
    rows = rows_of("tagged")
    objective = prepared(folders, family, "tagged", rows).objective
    peer = Peer(folders / family / "tagged", "tagged")
    examples = as_examples(rows)
    task = TokenClassification.of(examples)
    pupil = Finetuner(folders / "bert", recipe=RECIPE, device="cpu")._pupil(task, CPU)[0]
    made = pupil.rows(examples)
    apart = 0.0
    for i, own in enumerate(objective.taught):
        theirs = in_order("tagged", peer.of_words(rows[made.of[i]]["tokens"]))
        columns, words = made.places[i].T
        assert np.abs(own[columns] - theirs[words]).max() <= 1e-5
        assert np.isnan(np.delete(own, columns, axis=0)).all(), "and nothing elsewhere"
        apart = max(apart, float(np.abs(own[columns] - theirs[np.roll(words, 1)]).max()))
    assert apart > 1e-2, "and not of another word"


def test_long_texts_are_tagged_in_windows(folders: Path) -> None:
    """Of 38 tokens each: every word is answered once, by a window that is as the peer would read it."""
    rows = [{"tokens": ["ball", "Team", "of", "qzz"] * 30, "tags": ["O"] * 120}]
    task = TokenClassification(tuple(sorted(TAGS)))
    teacher = open_as(folders / "roberta" / "tagged", task, device="cpu")
    examples = as_examples(rows, task=task.name)
    made = teacher.rows(examples)
    assert len(made) > 3
    assert {len(ids) for ids in made.input_ids} >= {38}
    assert sorted(word for places in made.places for word in places[:, 1]) == list(range(120))
    peer = Peer(folders / "roberta" / "tagged", "tagged").model
    for ids, own in zip(made.input_ids, teacher.item_logits(made), strict=True):
        assert (ids[0], ids[-1]) == (0, 2)
        with torch.no_grad():
            theirs = peer(torch.from_numpy(ids.astype(np.int64))[None]).logits[0].numpy()
        np.testing.assert_allclose(own, theirs, atol=1e-5)


def test_a_piece_for_a_space_is_its_words(folders: Path) -> None:
    """SentencePiece gives an unknown word's space a piece of its own, byte-level BPE one of two spaces."""
    write_foreign(folders / "spaces", "deberta-v2", **KINDS["tagged"][1])
    task = TokenClassification(TAGS)
    spelled = open_as(folders / "spaces", task, device="cpu").reader
    ((ball, vox),) = spelled.words(["ball vox"], [[(0, 4), (5, 8)]])
    assert spelled.backend.convert_ids_to_tokens(vox)[0] == "\u2581"
    assert spelled.backend.convert_ids_to_tokens(ball) == ["\u2581ball"]
    doubled = open_as(folders / "roberta" / "tagged", task, device="cpu").reader
    ((ball, vox),) = doubled.words(["ball  vox"], [[(0, 4), (6, 9)]])
    assert doubled.backend.convert_ids_to_tokens(ball)[-1] == "\u0120"
    whole = doubled.backend("ball  vox", add_special_tokens=False)["input_ids"]
    assert [*ball, *vox] == whole
    ((dot, rest, none),) = doubled.words(["..."], [[(0, 1), (1, 2), (2, 3)]])
    assert dot
    if not rest:
        assert not none, "a token of several words is the first one's"


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_meet_at_characters(family: str, folders: Path) -> None:
    """Each of the student's tokens has the shares of the teacher's that begin, or end, within it."""
    rows = rows_of("asked")
    objective = prepared(folders, family, "asked", rows).objective
    peer = Peer(folders / family / "asked", "asked")
    examples = as_examples(rows)
    task = QuestionAnswering(doc_stride=4)
    pupil = Finetuner(folders / "bert", recipe=RECIPE, device="cpu")._pupil(task, CPU)[0]
    made = pupil.rows(examples)
    heard = 0
    for own, example, places in zip(objective.taught, made.of, made.places, strict=True):
        context = places[places[:, 0] == 1]
        first, last = context[0, 1], context[-1, 2]
        text = rows[example]["context"]
        found, told = peer(rows[example]["question"], text[first:last])
        if len(told["input_ids"]) > 38:
            assert np.isnan(own).all()
            continue
        heard += 1
        likely = torch.stack([found.start_logits[0], found.end_logits[0]]).div(RECIPE.temperature).softmax(-1)
        of, spans = told.sequence_ids(0), np.array(told["offset_mapping"])
        mine = np.exp(own / RECIPE.temperature - (own / RECIPE.temperature).max(-1, keepdims=True))
        mine /= mine.sum(-1, keepdims=True)
        expected = np.zeros_like(mine)
        special = np.flatnonzero(places[:, 0] < 0)
        for j, text_number in enumerate(of):
            for side in (0, 1):
                if text_number is None:
                    behind = of[:j].count(0) and 1 + bool(of[:j].count(1))
                    column = special[int(behind)]
                else:
                    start, end = spans[j] + (first if text_number else 0)
                    whole = text if text_number else rows[example]["question"]
                    start += whole[start] == " "
                    at = end - 1 if side else start
                    inside = (places[:, 0] == text_number) & (places[:, 1] <= at) & (places[:, 2] > at)
                    (column,) = np.flatnonzero(inside)
                expected[side, column] += float(likely[side, j])
        np.testing.assert_allclose(mine, expected, atol=1e-5)
        assert np.abs(mine[::-1] - expected).max() > 1e-3, "beginnings are not ends"
    assert heard > len(rows) / 2


@pytest.mark.parametrize("name", KINDS)
def test_a_run_says_how_far_both_agree(name: str, folders: Path, tmp_path: Path) -> None:
    recipe = RECIPE.with_changes(teacher_weight=1.0)
    run = Finetuner(folders / "bert", teacher=folders / "roberta" / name, recipe=recipe, device="cpu").run(
        rows_of(name, 30), evaluate=rows_of(name, 25, seed=5), out=tmp_path / "out"
    )
    assert run.log.losses["teacher"][0] > 0
    assert run.facts["agreement"]["rows"] == 25
    assert run.facts["teacher"]["kind"] == "fine-tuned model"


def open_named(folder: Path, name: str, **facts: Any) -> ForeignPredictor:
    return ForeignPredictor.open(folder, task=task_named(name), facts=facts, device="cpu")


def test_folders_that_cannot_teach_a_task(folders: Path, tmp_path: Path) -> None:
    for place, name, said in (
        ("pairs", "token-classification", "a head that tags words, trained.*without classifier.bias"),
        ("tagged", "sequence-classification", "a text classifier's head, trained.*classifier.dense"),
        ("pairs", "regression", "one number. Received: problem_type=None, 3 outputs"),
        ("pairs", "multi-label-classification", "tells several labels"),
        ("pairs", "sentence-embedding", "A folder of sentence embeddings has a modules.json"),
    ):
        with pytest.raises(ConfigError, match=said):
            open_named(folders / "roberta" / place, name)
    with pytest.raises(ConfigError, match=r"labels of the training data.*a teacher of sport, food, music"):
        Finetuner(folders / "bert", teacher=folders / "roberta" / "several", recipe=RECIPE).run(
            [{"text": "a of", "labels": ["x"]}, {"text": "in", "labels": ["y"]}], out=tmp_path / "out"
        )
    # A head whose weights would fit another task's, were it not for its name.
    place = write_foreign(tmp_path / "judge", "deberta-v2", **KINDS["pairs"][1])
    with pytest.raises(ConfigError, match="have a head that tags words. Received: a DebertaV2ForSequence"):
        open_named(place, "token-classification")
    write_foreign(tmp_path / "mlm", "deberta")
    with pytest.raises(ConfigError, match="able to have a head that chooses.*family deberta, which has none"):
        open_named(tmp_path / "mlm", "multiple-choice")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_teacher_of_vectors(family: str, folders: Path, tmp_path: Path) -> None:
    """Its vectors are the peer's, of a folder without a pooler, and a pupil learns them."""
    peer = pytest.importorskip(
        "sentence_transformers", reason="the peer sentence-transformers is not installed"
    )
    place = write_foreign(tmp_path / "vectors", family)
    write_modules(place, SentenceModules(after=(Normalize(),), max_seq_length=8))
    texts = [row["text_a"] for row in rows_of("pairs", 20)]
    opened = open_named(place, "sentence-embedding")
    examples = Examples("sentence-embedding", {"text": texts})
    made = opened.rows(examples)
    assert made.lengths.max() == 8
    vectors = np.concatenate(opened.item_logits(made))
    theirs = peer.SentenceTransformer(str(place), device="cpu").encode(texts)
    np.testing.assert_allclose(vectors, theirs, atol=1e-5)
    assert np.abs(vectors[::-1] - theirs).max() > 1e-3, "each text has its own"
    recipe = RECIPE.with_changes(steps=30, learning_rate=3e-3)
    pupil = Finetuner(folders / "bert", teacher=place, task="sentence-embedding", recipe=recipe, device="cpu")
    run = pupil.run([{"text": text} for text in texts], out=tmp_path / "out")
    losses = run.log.losses["teacher"]
    assert losses[-1] < losses[0] / 2
    bart = write_foreign(tmp_path / "bart", "bart")
    write_modules(bart, SentenceModules())
    with pytest.raises(ConfigError, match="its last ones are a decoder's"):
        open_named(bart, "sentence-embedding")


def test_tokenizers_that_a_task_cannot_use(folders: Path, tmp_path: Path) -> None:
    """One without a token that stands for no answer, and one with token types of its own kind."""
    from tokenizers import processors

    for name, single, pair, said in (
        ("asked", "$A </s>", "$A </s> $B </s>", "begin with one special token, which stands for no answer"),
        ("pairs", "<s>:2 $A </s>", "<s>:2 $A </s> $B:1 </s>:1", "token types are others than 0"),
    ):
        place = write_foreign(tmp_path / name, "roberta", **KINDS[name][1])
        template = processors.TemplateProcessing(
            single=single, pair=pair, special_tokens=[("<s>", 0), ("</s>", 2)]
        )
        content = read_json(place / "tokenizer.json")
        content["post_processor"] = json.loads(template.__getstate__())
        (place / "tokenizer.json").write_text(json.dumps(content))
        task = "question-answering" if name == "asked" else "sequence-classification"
        with pytest.raises(ConfigError, match=said):
            open_named(place, task, pair=True)
