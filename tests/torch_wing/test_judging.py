"""Models judged on real answers: calibrated, compared, their mistakes listed, and all of it on a page."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_files import sentences, write_table, write_teacher
from task_files import scored, several, tagged, write_rows

from distilbert import (
    AutoModelForSequenceClassification,
    Finetuner,
    Finetuning,
    Predictor,
    TextClassifier,
    calibrate,
    evaluate,
)
from distilbert.cli.main import main
from distilbert.core.files import read_json, write_json
from distilbert.core.tasks.calibration import calibration_error
from distilbert.core.tasks.classes import entity_table
from distilbert.errors import CheckpointError, ConfigError
from distilbert.report.evaluation import evaluation_page

RECIPE = Finetuning(
    steps=60,
    batch_size=16,
    micro_batch_size=16,
    max_length=32,
    learning_rate=5e-3,
    dropout=0.0,
    precision="fp32",
)


def subjects(count: int, *, seed: int = 0, wrong: float = 0.2) -> list[dict[str, Any]]:
    """Texts with their subjects, some of which are wrong, so that no model can be sure."""
    texts, labels = sentences(count, seed=seed, words=8)
    rng = np.random.default_rng(seed)
    names = ["food", "music", "sport"]
    told = [str(rng.choice(names)) if rng.random() < wrong else label for label in labels]
    return [{"text": text, "label": label} for text, label in zip(texts, told, strict=True)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that tell subjects, well and poorly; several labels; and tags."""
    root = tmp_path_factory.mktemp("judged")
    write_teacher(root / "bert", layers=1)
    for name, rows, steps in (
        ("good", subjects, 40), ("poor", subjects, 4), ("several", several, 40), ("tagged", tagged, 40),
    ):  # fmt: skip
        recipe = RECIPE.with_changes(steps=steps)
        Finetuner(root / "bert", recipe=recipe).run(
            rows(300, seed=1), evaluate=rows(100, seed=2), out=root / name
        )
    return root


def changed(folder: Path, out: Path, *, scale: float = 1.0, order: list[int] | None = None) -> Path:
    """A copy of a classifier whose logits are larger, or stand in another order."""
    shutil.copytree(folder, out)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    last = model.classifier
    keep = order or list(range(len(last.bias)))
    last.weight.data, last.bias.data = last.weight.data[keep] * scale, last.bias.data[keep] * scale
    labels = [model.config.id2label[i] for i in keep]
    model.config.id2label = dict(enumerate(labels))
    model.config.label2id = {label: i for i, label in enumerate(labels)}
    model.save_pretrained(out)
    return out


def test_what_was_fitted_is_ours_and_answers_follow_it(folders: Path) -> None:
    facts = read_json(folders / "good" / "distilbert.json")["calibration"]
    assert facts["rows"] == 100
    assert set(facts["error"]) == {"before", "after"}
    assert "calibration" not in (folders / "good" / "config.json").read_text()
    texts = [row["text"] for row in subjects(50, seed=3)]
    classifier = TextClassifier.open(folders / "good")
    plain = classifier.uncalibrated()
    logits = classifier.logits(texts)[0].astype(np.float64)
    np.testing.assert_array_equal(logits, plain.logits(texts)[0])
    assert facts["temperature"] != 1.0
    scaled = np.exp(logits / facts["temperature"])
    expected = scaled / scaled.sum(axis=1, keepdims=True)
    rows = [{"text": text} for text in texts]
    for answers in (classifier.answers(texts), Predictor.open(folders / "good").answers(rows)):
        found = [[answer.scores[name] for name in classifier.task.labels] for answer in answers]
        np.testing.assert_allclose(found, expected, atol=1e-7)
    assert [a.label for a in classifier.answers(texts)] == [a.label for a in plain.answers(texts)]
    assert classifier.answers(texts)[0].score != plain.answers(texts)[0].score


def test_scores_of_a_training_are_those_of_before_its_thresholds(folders: Path) -> None:
    """Fitted to the very rows that are scored, they would be too good."""
    told = read_json(folders / "several" / "distilbert.json")
    opened = Predictor.open(folders / "several")
    assert opened.task.thresholds == tuple(told["calibration"]["thresholds"].values())
    found = evaluate(opened.uncalibrated(), several(100, seed=2))
    assert {name: found[name] for name in told["evaluation"]} == told["evaluation"]
    # On those rows no thresholds give more; on others they may.
    assert evaluate(opened, several(100, seed=2))["macro_f1"]["value"] >= found["macro_f1"]["value"]


def test_a_training_and_an_evaluation_say_the_same(folders: Path, tmp_path: Path) -> None:
    """To the digit, whatever the training multiplied in."""
    rows = scored(60, seed=2)
    recipe = RECIPE.with_changes(steps=10, precision="bf16")
    run = Finetuner(folders / "bert", recipe=recipe).run(
        scored(60, seed=1), evaluate=rows, out=tmp_path / "m"
    )
    said = run.facts["evaluation"]
    found = evaluate(tmp_path / "m", rows)
    assert {name: found[name] for name in said} == said
    rounded = evaluate(Predictor.open(tmp_path / "m", precision="bf16"), rows)
    assert rounded["mean_squared_error"] != said["mean_squared_error"]


def test_a_folder_is_calibrated_anew(folders: Path, tmp_path: Path) -> None:
    rows = subjects(200, seed=4)
    once = calibrate(shutil.copytree(folders / "good", tmp_path / "once"), rows)
    loud = changed(folders / "good", tmp_path / "loud", scale=5.0)
    before = {path.name: path.read_bytes() for path in loud.iterdir()}
    facts = calibrate(loud, rows)
    assert facts["temperature"] == pytest.approx(5 * once["temperature"], rel=1e-3)
    assert facts["error"]["before"] > once["error"]["before"] + 0.02
    assert facts["error"]["after"] == pytest.approx(once["error"]["after"], abs=1e-3)
    after = {path.name: path.read_bytes() for path in loud.iterdir()}
    assert [name for name in before if before[name] != after[name]] == ["distilbert.json"]
    kept = json.loads(after["distilbert.json"])
    assert kept.pop("calibration") == facts
    old = json.loads(before["distilbert.json"])
    old.pop("calibration")
    assert kept == old
    assert calibrate(loud, rows) == facts, "what was fitted before is not built upon"
    found = evaluate(loud, rows)
    assert found["calibration"]["error"] == pytest.approx(facts["error"]["after"], abs=1e-9)
    assert found["accuracy"] == evaluate(folders / "good", rows)["accuracy"]


def test_what_cannot_be_calibrated_and_what_is_damaged(folders: Path, tmp_path: Path) -> None:
    numbers = [{"text": f"ball {i}", "score": float(i)} for i in range(8)]
    Finetuner(folders / "bert", recipe=RECIPE.with_changes(steps=1)).run(numbers, out=tmp_path / "scored")
    with pytest.raises(ConfigError, match="can be calibrated. Received: a model for regression"):
        calibrate(tmp_path / "scored", numbers)
    assert "calibration" not in evaluate(tmp_path / "scored", numbers)
    with pytest.raises(ConfigError, match="is a folder, since it is written to. Received: your-name/model"):
        calibrate("your-name/model", numbers)
    folder = shutil.copytree(folders / "good", tmp_path / "damaged")
    facts = read_json(folder / "distilbert.json")
    for wrong in ({"temperature": 0}, {"temperature": "hot"}, [], {"thresholds": {"food": 2}}):
        write_json(folder / "distilbert.json", {**facts, "calibration": wrong})
        with pytest.raises(CheckpointError, match="must hold what a training command wrote"):
            Predictor.open(folder)


def test_the_tables_are_scikit_learns(folders: Path) -> None:
    from sklearn.metrics import classification_report, confusion_matrix

    rows = subjects(120, seed=5)
    found = evaluate(folders / "poor", rows)
    answers = TextClassifier.open(folders / "poor").answers([row["text"] for row in rows])
    truth, told = [row["label"] for row in rows], [answer.label for answer in answers]
    report = classification_report(truth, told, output_dict=True, zero_division=0)
    for label, own in found["classes"].items():
        assert own["f1"] == pytest.approx(report[label]["f1-score"])
        assert own["precision"] == pytest.approx(report[label]["precision"])
        assert own["rows"] == report[label]["support"]
    labels = found["confusion_matrix"]["labels"]
    assert found["confusion_matrix"]["counts"] == confusion_matrix(truth, told, labels=labels).tolist()
    sure = np.array([answer.score for answer in answers])
    right = np.array([a == b for a, b in zip(truth, told, strict=True)])
    assert found["calibration"]["error"] == pytest.approx(calibration_error(sure, right))
    listed = found["mistakes"]
    assert len(listed) == min(50, int((~right).sum()))
    assert [one["confidence"] for one in listed] == pytest.approx(sorted(sure[~right])[::-1][:50])
    for one in listed[:5]:
        row = int(re.fullmatch(r"row (\d+) of the evaluation data", one["at"])[1]) - 1
        assert (one["text"], one["true"], one["told"]) == (rows[row]["text"], truth[row], told[row])
        assert one["true"] != one["told"]


def test_mistakes_of_tags(folders: Path) -> None:
    rows = tagged(60, seed=6)
    opened = Predictor.open(folders / "tagged")
    found = evaluate(opened, rows)
    texts = [{"tokens": row["tokens"]} for row in rows]
    told = [list(answer.tags) for answer in opened.answers(texts)]
    truth = [row["tags"] for row in rows]
    assert found["entities"] == entity_table(truth, told)
    assert set(found["entities"]) == {"food", "music", "sport"}
    assert sum(map(sum, found["confusion_matrix"]["counts"])) == sum(map(len, truth))
    for one in found["mistakes"][:5]:
        row = int(re.search(r"\d+", one["at"])[0]) - 1
        word = re.search(r"«(.+)»", one["text"])[1]
        pairs = set(zip(rows[row]["tokens"], truth[row], told[row], strict=True))
        assert (word, one["true"], one["told"]) in pairs


def test_tables_of_several_labels(folders: Path) -> None:
    many = several(100, seed=6)
    found = evaluate(folders / "several", many)
    assert "confusion_matrix" not in found
    assert {label: own["rows"] for label, own in found["classes"].items()} == {
        label: sum(label in row["labels"] for row in many) for label in ("food", "music", "sport")
    }
    assert sum(one["decisions"] for one in found["calibration"]["bins"]) == 3 * 100
    for one in found["mistakes"]:
        assert set(one["true"].split("|")) != set(one["told"].split("|"))


def test_beside_others(folders: Path, tmp_path: Path) -> None:
    rows = subjects(200, seed=7)
    turned = changed(folders / "good", tmp_path / "turned", order=[2, 0, 1])
    first = TextClassifier.open(turned).task.labels
    assert first == ("sport", "food", "music")
    found = evaluate(folders / "good", rows, against=[folders / "poor", turned])["against"]
    poor, same = found[str(folders / "poor")], found[str(turned)]
    scores = [evaluate(folders / name, rows)["accuracy"]["value"] for name in ("good", "poor")]
    assert poor["accuracy"]["difference"]["value"] == pytest.approx(scores[0] - scores[1])
    assert scores[0] > scores[1] + 0.1
    assert poor["accuracy"]["difference"]["low"] > 0
    assert poor["accuracy"]["p"] == pytest.approx(1 / 1001)
    # The same answers under ids in another order.
    assert all(one["difference"]["value"] == 0 and one["p"] == 1 for one in same.values())
    back = evaluate(folders / "poor", rows, against=[folders / "good"])["against"][str(folders / "good")]
    assert back["accuracy"]["difference"]["value"] == -poor["accuracy"]["difference"]["value"]

    many = several(80, seed=7)
    turned = changed(folders / "several", tmp_path / "several", order=[1, 2, 0])
    assert read_json(turned / "distilbert.json")["calibration"]["thresholds"]
    found = evaluate(folders / "several", many, against=[turned])["against"][str(turned)]
    assert all(one["difference"]["value"] == 0 for one in found.values())
    with pytest.raises(
        ConfigError, match="same task and the same labels. Received: sequence-classif.* and mu"
    ):
        evaluate(folders / "good", rows, against=[folders / "several"])


def test_answers_that_are_withheld(folders: Path) -> None:
    texts = [row["text"] for row in subjects(60, seed=8)]
    classifier = TextClassifier.open(folders / "poor")
    answers = classifier.answers(texts)
    least = float(np.median([answer.score for answer in answers]))
    some = classifier.answers(texts, abstain_below=least)
    assert [answer.label == "unsure" for answer in some] == [answer.score < least for answer in answers]
    assert 0 < sum(answer.label == "unsure" for answer in some) < 60
    assert [answer.scores for answer in some] == [answer.scores for answer in answers]
    assert classifier.answers(texts, abstain_below=0.0) == answers
    with pytest.raises(ConfigError, match="one probability can be withheld.*multi-label"):
        Predictor.open(folders / "several").answers([{"text": "ball"}], abstain_below=0.5)
    with pytest.raises(ConfigError, match="abstain_below must be a number from 0 to 1"):
        classifier.answers(texts, abstain_below=1.5)


def test_a_label_that_is_called_unsure(folders: Path, tmp_path: Path) -> None:
    rows = [{**row, "label": row["label"].replace("food", "unsure")} for row in subjects(60)]
    out = tmp_path / "named"
    Finetuner(folders / "bert", recipe=RECIPE.with_changes(steps=1)).run(rows, out=out)
    with pytest.raises(ConfigError, match="no label may be called 'unsure'"):
        TextClassifier.open(out).answers(["ball"], abstain_below=0.5)
    assert len(TextClassifier.open(out).answers(["ball"])) == 1


def test_the_page_shows_what_was_found_and_needs_nothing_else() -> None:
    wild = "<script>alert(1)</script>"
    found = {
        "accuracy": {"value": 0.75, "low": 0.5, "high": 0.9},
        "rows": 8,
        "cut_to_max_length": 1,
        "calibration": {
            "error": 0.1234,
            "temperature": 1.5,
            "bins": [{"low": 0.6, "high": 0.7, "decisions": 8, "confidence": 0.65, "right": 0.75}],
        },
        "classes": {"$x^$": {"precision": 1.0, "recall": 0.5, "f1": 0.6667, "rows": 4}},
        "confusion_matrix": {"labels": ["$x^$", "<b>"], "counts": [[2, 2], [0, 4]]},
        "mistakes": [{"at": "row 3", "text": wild, "true": "$x^$", "told": "<b>", "confidence": 0.91}],
        "against": {
            "other": {
                "accuracy": {
                    "value": 0.5,
                    "difference": {"value": 0.25, "low": 0.1, "high": 0.4},
                    "p": 0.02,
                    "p_of_all": 0.04,
                }
            }
        },
    }
    page = evaluation_page(found, model="mine", data="test.csv", task="sequence-classification")
    for words in ("0.7500", "0.5000 to 0.9000", "0.1234", "1.500", "0.6667", "+0.2500", "0.020", "0.040",
                  "row 3", "0.910", "mine", "test.csv", "of which 1 were cut"):  # fmt: skip
        assert words in page, words
    assert "$x^$" in page.split("<svg")[3], "no formula is made of a label"
    assert wild not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert page.count("<svg") == 3
    assert not re.search(r'(src|href)="[^#]|<script|@import|url\((?!#)', page), "nothing from anywhere else"

    many = [f"label{i}" for i in range(30)]
    counts = np.diag(np.full(30, 5))
    counts[3, 4], counts[7, 2] = 2, 9
    found["confusion_matrix"] = {"labels": many, "counts": counts.tolist()}
    page = evaluation_page(found, model="mine", data="test.csv", task="sequence-classification")
    rows = re.findall(r"<tr><td>(label\d+)</td><td>(label\d+)</td><td>(\d+)</td></tr>", page)
    assert rows == [("label7", "label2", "9"), ("label3", "label4", "2")]


def test_the_command(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("good", "poor"):
        shutil.copytree(folders / name, tmp_path / name)
    rows = subjects(80, seed=9)
    write_table(tmp_path / "test.csv", *([row[name] for row in rows] for name in ("text", "label")))
    command = ["evaluate", "--model", "good", "--data", "test.csv", "--quiet"]
    assert main([*command, "--against", "poor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["against"]) == ["poor"]
    page = Path("report.html").read_text()
    assert f"{found['accuracy']['value']:.4f}" in page
    assert "line " in found["mistakes"][0]["at"]
    assert found["mistakes"][0]["text"] in page

    assert main([*command, "--calibrate"]) == 0
    said = capsys.readouterr().out
    fitted = read_json(Path("good/distilbert.json"))["calibration"]
    assert f"divides its logits by {fitted['temperature']:.4f}" in said
    assert "precision" in said
    assert Path("report.html").read_text() != page, "an earlier page gives way"

    Path("report.html").write_text("<p>of somebody else</p>")
    assert main(command) == 2
    assert "page of an earlier evaluation" in capsys.readouterr().err
    assert Path("report.html").read_text() == "<p>of somebody else</p>"
    assert main([*command, "--report", "page.html"]) == 0
    assert Path("page.html").exists()

    texts = write_rows(tmp_path / "new.jsonl", [{"text": row["text"]} for row in rows])
    predict = ["predict", "--model", "poor", "--file", str(texts), "--json", "--quiet"]
    capsys.readouterr()
    assert main([*predict, "--abstain-below", "0.99"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {answer["label"] == "unsure" for answer in answers if answer["score"] < 0.99} == {True}
    assert any(answer["label"] == "unsure" for answer in answers)
