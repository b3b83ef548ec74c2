"""Files of labels as teachers: every way of writing them, and what each mistake is called."""

import json
from pathlib import Path

import numpy as np
import pytest

from distilbert.core.progress import silent
from distilbert.core.teachers.agreement import agreement, agreement_rows, counted
from distilbert.core.teachers.label_files import LabelFile, write_labels
from distilbert.core.teachers.targets import NEVER, Targets, Teaching
from distilbert.errors import DataError

LABELS = ("food", "music", "sport")
TEXTS = ["soup", "a drum", "never seen", "soup"]
SOFT = np.array([[0.7, 0.2, 0.1], [0.0, 1.0, 0.0]])


def jsonl(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def targets(path: Path, texts: list[str] = TEXTS) -> Targets:
    return LabelFile(path).targets(texts, LABELS, progress=silent)


def write_soft(folder: Path, way: str) -> Path:
    path = folder / f"labels.{way.split(maxsplit=1)[0]}"
    by_name = [dict(zip(LABELS, row.tolist(), strict=True)) for row in SOFT]
    turned = [2, 0, 1]
    if way == "jsonl by name":
        return jsonl(path, *({"text": t, "probabilities": p} for t, p in zip(TEXTS, by_name, strict=False)))
    if way == "jsonl in order":
        rows = [
            {"text": t, "probabilities": row[turned].tolist()} for t, row in zip(TEXTS, SOFT, strict=False)
        ]
        return jsonl(path, {"labels": [LABELS[i] for i in turned]}, *rows)
    if way in ("csv", "tsv"):
        lines = [["sport", "text", "food", "music", "note"]]
        lines += [[p["sport"], t, p["food"], p["music"], "x"] for t, p in zip(TEXTS, by_name, strict=False)]
        path.write_text("\n".join((",", "\t")[way == "tsv"].join(map(str, line)) for line in lines) + "\n")
        return path
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    kind = arrow.map_(arrow.string(), arrow.float64()) if "map" in way else None
    shares = [list(p.items()) for p in by_name] if "map" in way else by_name
    table = arrow.table({"text": TEXTS[:2], "probabilities": arrow.array(shares, kind)})
    pyarrow.parquet.write_table(table, path)
    return path


@pytest.mark.parametrize(
    "way", ["jsonl by name", "jsonl in order", "csv", "tsv", "parquet by name", "parquet map"]
)
def test_soft_labels_in_every_file(way: str, tmp_path: Path) -> None:
    found = targets(write_soft(tmp_path, way))
    assert found.known.tolist() == [True, True, False, True]
    np.testing.assert_allclose(found.probabilities[found.known], SOFT[[0, 1, 0]], atol=1e-7)
    assert found.answers.tolist() == [0, 1, 0, 0]


def test_hard_labels_and_soft_ones_in_one_file(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "a.jsonl",
        {"text": " soup ", "label": "sport"},
        {"text": "a drum", "probabilities": {"food": 0.5, "music": 0.5}},
    )
    found = targets(path)
    np.testing.assert_allclose(found.probabilities[:2], [[0, 0, 1], [0.5, 0.5, 0]], atol=1e-7)


def test_labels_of_several_people_become_their_mean(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"text": "soup", "label": label} for label in ("food", "music", "food", "food")]
    path = jsonl(tmp_path / "a.jsonl", *rows, *2 * [{"text": "a drum", "label": "music"}])
    teacher = LabelFile(path)
    found = teacher.targets(TEXTS, LABELS, progress=silent)
    np.testing.assert_allclose(found.probabilities[[0, 3]], 2 * [[0.75, 0.25, 0]], atol=1e-7)
    assert teacher.facts() == {"file": "a.jsonl", "rows": 6, "contradictions": 1}
    assert "1 texts stand in" in caplog.text


def test_rounded_probabilities_are_made_to_sum_to_one(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"text": "soup", "probabilities": dict.fromkeys(LABELS, 0.33)})
    np.testing.assert_allclose(targets(path).probabilities[0], 1 / 3, atol=1e-7)


def test_zero_is_zero_at_every_temperature() -> None:
    found = Targets.of_probabilities(SOFT, np.ones(2, bool))
    for temperature in (0.5, 1.0, 8.0):
        powers = np.exp(found.logits[1].astype(np.float64) / temperature)
        assert (powers / powers.sum()).tolist() == [0.0, 1.0, 0.0]
    assert np.isfinite(found.logits).all()
    assert found.logits.min() == NEVER
    usual = np.exp(found.logits[0] / 2)
    np.testing.assert_allclose(usual / usual.sum(), SOFT[0] ** 0.5 / (SOFT[0] ** 0.5).sum(), rtol=1e-6)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": "x", "label": "tennis"}, "labels of the training data alone: food, music, sport.*'tennis'"),
        ({"text": "x", "probabilities": {"tennis": 1.0}}, "labels of the training data alone.*'tennis'"),
        ({"text": "x", "probabilities": {"food": 0.9, "music": 0.2}}, "sum to 1.*a sum of 1.1.*percentages"),
        ({"text": "x", "probabilities": {"food": 1.5, "music": -0.5}}, "at least 0.*-0.5 for music.*logits"),
        ({"text": "x", "probabilities": {"food": float("nan")}}, "at least 0.*nan for food"),
        ({"text": "x", "probabilities": {"food": 10**400}}, "at least 0.*10000"),
        ({"text": "x", "probabilities": {"food": True}}, "at least 0.*True for food"),
        ({"text": "x", "probabilities": {"food": [1]}}, r"at least 0.*\[1\] for food"),
        ({"text": "x", "probabilities": {}}, "probabilities by label.*{}"),
        ({"text": "x", "probabilities": "food"}, "probabilities by label.*'food'"),
        ({"text": "x", "probabilities": [0.5, 0.5, 0]}, "3 probabilities and no labels.*first line"),
        ({"text": "x", "probabilities": [1.0], "labels": ["food", "music"]}, "1 probabilities and 2 labels"),
        ({"text": "x", "probabilities": [1.0, 0], "labels": ["food", "food"]}, "list of different names"),
        ({"text": "x"}, "a label or probabilities.*columns text.*leave out"),
        ({"text": "x", "label": True}, "a label or probabilities.*True"),
        ({"text": "", "label": "food"}, "must have a text.*'' as text"),
    ],
)
def test_a_row_that_says_nothing_usable_is_named(row: dict[str, object], said: str, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"text": "soup", "label": "food"}, row)
    with pytest.raises(DataError, match=said) as refused:
        targets(path)
    assert f"at line 2 of {path}" in str(refused.value)


def test_a_wrong_header_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'tennis' at line 1 of"):
        targets(jsonl(tmp_path / "a.jsonl", {"labels": ["tennis"]}, {"text": "x", "label": "food"}))
    with pytest.raises(DataError, match="must exist"):
        LabelFile(tmp_path / "none.jsonl")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    given = Targets(rng.normal(0, 5, (3, 3)).astype(np.float32), np.array([True, False, True]))
    texts = ["one\u2028line", "unknown", '"quoted", ünï']
    assert write_labels(tmp_path / "a.jsonl", texts, given, LABELS) == 2
    found = targets(tmp_path / "a.jsonl", texts)
    assert found.known.tolist() == [True, False, True]
    np.testing.assert_allclose(found.probabilities[found.known], given.probabilities[found.known], rtol=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_texts_without_an_answer_are_left_out_of_what_is_learnt(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", *({"text": text, "label": "food"} for text in ("a", "c", "e")))

    def lessons(labelled: list[str], unlabelled: list[str]) -> Teaching:
        return Teaching.of(
            LabelFile(path),
            LABELS,
            labelled=labelled,
            unlabelled=unlabelled,
            gold=["c", "?"],
            progress=silent,
        )

    found = lessons(["a", "b"], ["b", "c", "d", "e"])
    assert found.labelled.known.tolist() == [True, False]
    assert found.unlabelled[0] == ["c", "e"]
    assert found.all.known.tolist() == [True, False, True, True]
    assert found.gold.known.tolist() == [True, False]
    assert (found.facts["answered"], found.facts["unanswered"]) == (3, 3)
    with pytest.raises(DataError, match="no answer to any of 2 texts from this file of labels"):
        lessons(["x"], ["y"])


@pytest.mark.parametrize("names", [("text_a", "text_b"), ("premise", "hypothesis"), ("text", "text_pair")])
def test_pairs_stand_in_two_columns(names: tuple[str, str], tmp_path: Path) -> None:
    """As a table of them has it; both texts find the answer, each at its own place."""
    one, other = names
    path = jsonl(
        tmp_path / "a.jsonl",
        {one: "soup", other: " a drum ", "label": "music"},
        {one: "a drum", other: "soup", "probabilities": {"food": 0.8, "sport": 0.2}},
    )
    asked = [("a drum", "soup"), ("soup", "soup"), ("soup ", "a drum")]
    found = LabelFile(path).targets(asked, LABELS, progress=silent)
    assert found.known.tolist() == [True, False, True]
    np.testing.assert_allclose(found.probabilities[[0, 2]], [[0.8, 0, 0.2], [0, 1, 0]], atol=1e-7)
    jsonl(path, {"x": "soup", "y": "a drum", "label": "music"})
    named = LabelFile(path, text="x", text_b="y").targets(asked, LABELS, progress=silent)
    assert named.known.tolist() == [False, False, True]
    jsonl(path, {one: "soup", other: "", "label": "music"})
    with pytest.raises(DataError, match=f"must have a text. Received: '' as {other}"):
        LabelFile(path).targets(asked, LABELS, progress=silent)


def test_several_labels_have_a_probability_each(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [
        {"text": "soup", "labels": ["food", "sport"]},
        {"text": "a drum", "labels": []},
        {"text": "song", "probabilities": {"music": 0.9, "food": 0.6}},
        {"text": "goal", "labels": "sport|music"},
        {"text": "goal", "labels": ["sport"]},
    ]
    expected = [[1, 0, 1], [0, 0, 0], [0.6, 0.9, 0], [0, 0.5, 1]]
    asked = ["soup", "a drum", "song", "goal", "?"]

    def probabilities(path: Path) -> np.ndarray:
        teacher = LabelFile(path, several=True)
        found = teacher.targets(asked, LABELS, progress=silent)
        assert found.known.tolist() == [True] * 4 + [False]
        assert np.isfinite(found.logits).all()
        return 1 / (1 + np.exp(-np.clip(found.logits[:4].astype(np.float64), -700, 700)))

    np.testing.assert_allclose(probabilities(jsonl(tmp_path / "a.jsonl", *rows)), expected, atol=1e-7)
    assert "1 texts stand in" in caplog.text
    table = "\n".join(f"{text},{','.join(map(str, row))}" for text, row in zip(asked, expected, strict=False))
    (tmp_path / "a.csv").write_text("text,food,music,sport\n" + table + "\n")
    np.testing.assert_allclose(probabilities(tmp_path / "a.csv"), expected, atol=1e-7)
    for row, said in (
        ({"text": "x", "probabilities": {"food": 1.5}}, "at least 0 and at most 1.*1.5 for food at line 1"),
        ({"text": "x", "labels": ["tennis"]}, "'tennis' at line 1"),
        ({"text": "x"}, "must have labels or probabilities.*columns text at line 1"),
    ):
        with pytest.raises(DataError, match=said):
            probabilities(jsonl(tmp_path / "b.jsonl", row))
    with pytest.raises(DataError, match="a label or probabilities"):
        targets(jsonl(tmp_path / "b.jsonl", {"text": "soup", "labels": ["food", "sport"]}))


@pytest.mark.parametrize("wrong", ["shape", "known", "finite"])
def test_a_teacher_of_ones_own_is_held_to_its_word(wrong: str) -> None:
    class Own:
        kind, paid = "teacher of one's own", False

        def targets(self, texts: list[str], labels: tuple[str, ...], *, progress: object) -> Targets:
            logits = np.zeros((len(texts), len(labels) - (wrong == "shape")), np.float32)
            logits[0, 0] = np.nan if wrong == "finite" else 0
            return Targets(logits, np.ones(len(texts) - (wrong == "known"), bool))

        def facts(self) -> dict[str, object]:
            return {}

        account = facts

    with pytest.raises(DataError, match="a finite logit for each label"):
        Teaching.of(Own(), LABELS, labelled=["a", "b"], unlabelled=[], gold=None, progress=silent)


def test_agreement_by_hand() -> None:
    truth = np.array([0, 0, 1, 1, 2])
    taught = np.array([0, 1, 1, 1, 0])
    known = np.array([True, True, True, True, False])
    teacher = Targets(np.eye(3, dtype=np.float32)[taught], known)
    student = np.array([0, 1, 0, 1, 2])
    found = agreement(truth, teacher, student, seed=0)
    assert (found["rows"], found["unanswered"]) == (4, 1)
    assert found["teacher_accuracy"]["value"] == 3 / 4
    assert found["student_accuracy"]["value"] == 2 / 4, "of all five rows it would be 3 / 5"
    assert found["retention"]["value"] == pytest.approx(2 / 3)
    assert found["agreement"]["value"] == 3 / 4
    assert found["agreement"]["low"] < 3 / 4 < found["agreement"]["high"]
    assert agreement(truth, teacher, student, seed=0) == found
    same = agreement(truth, teacher, taught, seed=0)
    for name in ("agreement", "retention"):
        assert same[name] == {"value": 1.0, "low": 1.0, "high": 1.0}, "both have the same resamples"
    none = Targets(teacher.logits, np.zeros(5, bool))
    assert agreement(truth, none, student, seed=0) == {"rows": 0, "unanswered": 5, "metric": "accuracy"}


def test_agreement_with_a_teacher_that_is_seldom_right() -> None:
    truth = np.array([0, 0, 1, 1, 2, 2])
    never = Targets(np.eye(3, dtype=np.float32)[(truth + 1) % 3], np.ones(6, bool))
    found = agreement(truth, never, truth, seed=0)
    assert found["retention"] is None
    assert ["the student's share of that", "—", "—"] in agreement_rows(found)
    once = Targets(np.eye(3, dtype=np.float32)[np.array([0, 1, 2, 2, 0, 0])], np.ones(6, bool))
    found = agreement(truth, once, truth, seed=0)
    assert found["retention"] == {"value": 6.0, "low": None, "high": None}, "some resamples lack that row"
    assert ["the student's share of that", "600.0%", "—"] in agreement_rows(found)


def test_agreement_with_a_teacher_that_answers_nothing_is_a_sentence() -> None:
    assert counted({"rows": 0, "unanswered": 5}, "test.csv").startswith(
        "The teacher answered none of the 5 rows of test.csv"
    )
    assert counted({"rows": 4, "unanswered": 1}, "test.csv") == (
        "On 4 rows of test.csv; 1 others have no answer of the teacher's"
    )
