"""Each task from rows to a folder that knows it: trained, judged, taught, used, and read by the peer."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_files import sentences, write_teacher
from task_files import asked, choices, pairs, scored, several, tagged, write_rows

from distilbert import (
    ChatTeacher,
    Finetuner,
    Finetuning,
    LabelFile,
    Predictor,
    TextClassifier,
    calibrate,
    evaluate,
    read_examples,
)
from distilbert.core.files import read_json
from distilbert.core.tasks.calibration import fit_null_threshold
from distilbert.core.tasks.multi_label_classification import MultiLabelClassification
from distilbert.errors import ConfigError, DataError
from distilbert.report.evaluation import evaluation_page

LEARNING = Finetuning(
    steps=150,
    batch_size=16,
    micro_batch_size=16,
    max_length=32,
    learning_rate=5e-3,
    dropout=0.0,
    precision="fp32",
)

#: Rows of a task, its name, and how good a tiny model gets at it.
KINDS: dict[str, tuple[Any, str, str, float]] = {
    "pairs": (pairs, "sequence-classification", "accuracy", 0.85),
    "scored": (scored, "regression", "pearson", 0.9),
    "several": (several, "multi-label-classification", "micro_f1", 0.8),
    "choices": (choices, "multiple-choice", "accuracy", 0.85),
    "tagged": (tagged, "token-classification", "f1", 0.8),
    "asked": (asked, "question-answering", "f1", 0.7),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bert, and for each kind the model that was trained on its rows."""
    root = tmp_path_factory.mktemp("tasks")
    write_teacher(root / "bert", layers=2)
    for name, (rows, *_) in KINDS.items():
        # To tell where an entity begins takes more than to tell what it is.
        recipe = LEARNING.with_changes(learning_rate=8e-3) if name == "tagged" else LEARNING
        Finetuner(root / "bert", recipe=recipe).run(
            rows(400, seed=1), evaluate=rows(100, seed=2), out=root / name
        )
    return root


@pytest.mark.parametrize("name", KINDS)
def test_it_learns_and_the_folder_knows_what(name: str, folders: Path) -> None:
    rows, task, metric, least = KINDS[name]
    facts = read_json(folders / name / "distilbert.json")
    assert facts["task"]["name"] == task
    scores = facts["evaluation"]
    assert scores[metric]["value"] > least
    assert scores[metric]["low"] <= scores[metric]["value"] <= scores[metric]["high"]
    assert scores["rows"] == 100
    found = evaluate(Predictor.open(folders / name).uncalibrated(), rows(100, seed=2))
    assert {key: found[key] for key in scores} == scores
    json.dumps(scores, allow_nan=False)


def test_the_answers_of_each_kind(folders: Path) -> None:
    rows = pairs(1)
    rows[0].pop("label")
    assert set(Predictor.open(folders / "pairs").answers(rows)[0].scores) == {"food", "music", "sport"}
    (number,) = Predictor.open(folders / "scored").answers(
        [{"text_a": "ball team goal match race coach", "text_b": "soup the bread of salt"}]
    )
    assert number.value == pytest.approx(4.5, abs=1.0)
    (labels,) = Predictor.open(folders / "several").answers([{"text": "ball piano goal song the of"}])
    least = read_json(folders / "several" / "distilbert.json")["calibration"]["thresholds"]
    assert set(labels.labels) == {name for name, p in labels.scores.items() if p >= least[name]}
    texts = ["soup bread salt", "ball team goal", "piano song choir"]
    for order in ([0, 1, 2], [2, 1, 0], [1, 0]):
        options = [texts[i] for i in order]
        (choice,) = Predictor.open(folders / "choices").answers([{"question": "the of", "choices": options}])
        assert choice.answer == options[choice.index] == "soup bread salt"
        assert sum(choice.scores) == pytest.approx(1)
        assert len(choice.scores) == len(order)


@pytest.mark.parametrize("name", KINDS)
def test_the_peer_gives_the_same_logits_from_the_folder(name: str, folders: Path) -> None:
    """Pairs with token types, as a BERT wants them: without them the logits are others."""
    import transformers

    rows = KINDS[name][0](6, seed=9)
    ours = Predictor.open(folders / name)
    examples = ours.task.read(list(enumerate(rows)), source="rows", columns={}, labelled=False)
    made = ours.rows(examples)
    logits = ours.item_logits(made)
    kind = {"choices": "MultipleChoice", "tagged": "TokenClassification", "asked": "QuestionAnswering"}.get(
        name, "SequenceClassification"
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(folders / name)
    peer = getattr(transformers, f"AutoModelFor{kind}").from_pretrained(folders / name).eval()

    def theirs(batch: dict[str, Any]) -> np.ndarray:
        with torch.no_grad():
            output = peer(**batch)
        if name == "asked":
            return torch.stack([output.start_logits[0], output.end_logits[0]]).numpy()
        return output.logits[0].numpy()

    apart = 0.0
    for i, own in enumerate(logits):
        row = rows[i if made.of is None else made.of[i]]
        if name == "choices":
            given = tokenizer([row["question"]] * len(row["choices"]), row["choices"], padding=True)
            batch = {key: torch.tensor(value)[None] for key, value in given.items()}
        elif name == "tagged":
            batch = dict(tokenizer(row["tokens"], is_split_into_words=True, return_tensors="pt"))
        elif name == "asked":
            first, last = np.flatnonzero(made.places[i][:, 0] == 1)[[0, -1]]
            part = row["context"][made.places[i][first, 1] : made.places[i][last, 2]]
            batch = dict(tokenizer(row["question"], part, return_tensors="pt"))
        else:
            texts = [row[key] for key in ("text", "text_a", "text_b") if key in row]
            batch = dict(tokenizer(*texts, return_tensors="pt"))
        assert np.abs(own - theirs(batch)).max() <= 1e-5
        batch["token_type_ids"] = torch.zeros_like(batch["token_type_ids"])
        apart = max(apart, float(np.abs(own - theirs(batch)).max()))
    assert (apart > 1e-3) == (name not in ("several", "tagged"))


@pytest.mark.parametrize("name", KINDS)
def test_a_pupil_learns_from_its_teacher_alone(name: str, folders: Path, tmp_path: Path) -> None:
    """No label is heard, and half of the rows have none."""
    rows, _, metric, least = KINDS[name]
    train, more = rows(200, seed=4), rows(200, seed=5)
    recipe = LEARNING.with_changes(label_weight=0.0)
    run = Finetuner(folders / "bert", teacher=folders / name, recipe=recipe).run(
        train, unlabelled=more, evaluate=rows(100, seed=2), out=tmp_path / "pupil"
    )
    assert run.facts["data"]["unlabelled"] == 200
    assert list(run.facts["training"]["final_losses"]) == ["teacher", "total"]
    assert run.facts["evaluation"][metric]["value"] > least - 0.1
    assert run.log.losses["teacher"][-1] < run.log.losses["teacher"][0] / 2


def test_a_teacher_teaches_itself_nothing(folders: Path, tmp_path: Path) -> None:
    """The property that shows that targets meet what they are meant for: its own answers cost it nothing."""
    recipe = LEARNING.with_changes(steps=2, label_weight=0.0, learning_rate=1e-12)
    for name, (rows, *_) in KINDS.items():
        found = {}
        for teacher in (name, "bert-drawn"):
            folder = folders / teacher
            if teacher == "bert-drawn":
                still = LEARNING.with_changes(steps=1, learning_rate=1e-12)
                folder = tmp_path / f"drawn-{name}"
                Finetuner(folders / "bert", recipe=still).run(rows(60, seed=1), out=folder)
            run = Finetuner(folders / name, teacher=folder, recipe=recipe).run(
                rows(60, seed=1), out=tmp_path / f"{name}-{teacher}"
            )
            found[teacher] = max(run.log.losses["teacher"])
        assert found[name] < 1e-6
        assert found["bert-drawn"] > 1e-3


def test_what_a_teacher_that_is_no_model_can_teach(folders: Path, tmp_path: Path) -> None:
    table = write_rows(tmp_path / "labels.jsonl", [{"text": "ball", "label": "sport"}])
    chat = ChatTeacher("https://127.0.0.1/v1", model="m")
    for rows, teacher, said in (
        (scored, table, "classes alone.*any teacher. Received: .*labels.jsonl for regression"),
        (tagged, LabelFile(table), "classes alone.* Received: .*labels.jsonl for token-classification"),
        (pairs, chat, "Received: ChatTeacher for sequence-classification of pairs"),
        (several, chat, "Received: ChatTeacher for multi-label-classification. Name a fine-tuned"),
    ):
        with pytest.raises(ConfigError, match=said):
            Finetuner(folders / "bert", teacher=teacher).run(rows(30), out=tmp_path / "out")
    with pytest.raises(DataError, match="a column for each of the two texts.*Call them text_a and text_b"):
        Finetuner(folders / "bert", teacher=table).run(pairs(30), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["pairs", "several"])
def test_a_file_of_a_models_answers_teaches_as_the_model_does(
    name: str, folders: Path, tmp_path: Path
) -> None:
    """Whatever the texts: pairs, and several labels each with a probability of its own."""
    make, _, metric, _ = KINDS[name]
    lots = [[bare_and_whole(row) for row in make(n, seed=seed)] for n, seed in ((30, 4), (20, 5), (30, 2))]
    rows, test = ([whole for _, whole in lot] for lot in lots[::2])
    more, unknown = [bare for bare, _ in lots[1]], bare_and_whole(make(1, seed=99)[0])[0]
    opened = Predictor.open(folders / name).uncalibrated()
    asked = [bare for lot in lots for bare, _ in lot]
    soft = [
        {**bare, "probabilities": answer.scores}
        for bare, answer in zip(asked, opened.answers(asked), strict=True)
    ]
    recipe = LEARNING.with_changes(steps=4, batch_size=8, micro_batch_size=8)

    def taught(teacher: Path, unlabelled: list[dict[str, Any]]) -> Any:
        return Finetuner(folders / "bert", teacher=teacher, recipe=recipe).run(
            rows, unlabelled=unlabelled, evaluate=test, out=tmp_path / f"of-{teacher.name}"
        )

    model = taught(folders / name, more)
    file = taught(write_rows(tmp_path / "soft.jsonl", soft[:-1]), [*more, unknown])
    np.testing.assert_allclose(file.log.losses["teacher"], model.log.losses["teacher"], rtol=1e-3)
    assert file.facts["teacher"]["answered"] == 50
    assert file.facts["data"]["unlabelled"] == 20, "one without an answer is left out"
    assert (file.facts["agreement"]["rows"], file.facts["agreement"]["unanswered"]) == (29, 1)
    hard = [
        {**row, "probabilities": {label: float(p == max(row["probabilities"].values()))
                                  for label, p in row["probabilities"].items()}}
        for row in soft
    ]  # fmt: skip
    other = taught(write_rows(tmp_path / "hard.jsonl", hard), more)
    assert abs(other.log.losses["teacher"][0] / model.log.losses["teacher"][0] - 1) > 0.01
    whole = taught(write_rows(tmp_path / "whole.jsonl", soft), more).facts["agreement"]
    assert whole[f"teacher_{metric}"]["value"] == pytest.approx(evaluate(opened, test)[metric]["value"])


def bare_and_whole(row: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A row without its answer, and with it."""
    return {key: value for key, value in row.items() if key not in ("label", "labels")}, row


def test_answers_are_places_in_the_text(folders: Path) -> None:
    """Entities and answers by their characters, in texts that are far longer than a row."""
    filler = "the of and to in is it that was for on with as at by this " * 5
    text = f"{filler}soup bread {filler} piano song choir the ball"
    (found,) = Predictor.open(folders / "tagged").answers([{"text": text}])
    told = [(tag[2:], word) for word, tag in zip(found.words, found.tags, strict=True) if tag != "O"]
    assert told == [
        *(("food", word) for word in ("soup", "bread")),
        *(("music", word) for word in ("piano", "song", "choir")),
        ("sport", "ball"),
    ]
    assert all(text[entity.start : entity.end] == entity.text for entity in found.entities)
    assert len(found.words) == len(found.tags) == 2 * 80 + 2 + 3 + 2
    context = f"{filler}soup bread {filler}"
    (answer,) = Predictor.open(folders / "asked").answers([{"question": "is it that", "context": context}])
    assert answer.answer == context[answer.start : answer.end]
    assert answer.answer in ("soup bread", "soup", "bread")
    assert sum(other.score for other in answer.others) == pytest.approx(1)
    (nothing,) = Predictor.open(folders / "asked").answers([{"question": "is it that", "context": filler}])
    assert (nothing.answer, nothing.start, nothing.end) == ("", 0, 0)


def test_a_threshold_for_no_answer(folders: Path, tmp_path: Path) -> None:
    """From far below to far above, every question has an answer, and none has."""
    answered = []
    for threshold in (-1e5, 0.0, 1e5):
        folder = shutil.copytree(folders / "asked", tmp_path / f"{threshold:g}")
        facts = read_json(folder / "distilbert.json")
        # What was fitted goes before what the recipe said.
        facts["task"]["null_threshold"] = -threshold
        facts["calibration"]["null_threshold"] = threshold
        (folder / "distilbert.json").write_text(json.dumps(facts))
        answers = Predictor.open(folder).answers(
            [{key: row[key] for key in ("question", "context")} for row in asked(40, seed=2)]
        )
        answered.append(sum(bool(answer.answer) for answer in answers))
    assert answered[0] == 0 < answered[1] < 40 == answered[2]


def test_no_answer_is_told_from_where_the_evaluation_says(folders: Path, tmp_path: Path) -> None:
    rows = asked(100, seed=2)
    facts = read_json(folders / "asked" / "distilbert.json")
    found = facts["calibration"]
    assert found["f1"]["before"] == facts["evaluation"]["f1"]["value"] <= found["f1"]["after"]
    judged = evaluate(folders / "asked", rows)
    assert judged["f1"]["value"] == pytest.approx(found["f1"]["after"])
    again = calibrate(shutil.copytree(folders / "asked", tmp_path / "anew"), rows)
    assert again == found
    page = evaluation_page(judged, model="mine", data="rows", task="question-answering", fitted=again)
    assert f"more than {found['null_threshold']:.4f}, fitted to 100 rows" in page
    assert f"became {found['f1']['after']:.4f}" in page
    before = Predictor.open(folders / "asked").uncalibrated()
    examples = before.task.read(list(enumerate(rows, start=1)), source="rows", columns={}, files=False)
    items = before.rows(examples)
    logits = before.item_logits(items)
    margins, scores = before.task.null_margins(logits, examples, items)
    assert found["null_threshold"] == pytest.approx(fit_null_threshold(margins, scores))
    told = before.task.told(logits, examples, items)[:, 1]
    assert told.tolist() == np.where(margins > 0, scores[:, 1], scores[:, 0]).tolist()
    recipe = LEARNING.with_changes(steps=2, null_threshold=0.5)
    fixed = Finetuner(folders / "bert", recipe=recipe).run(rows[:40], evaluate=rows, out=tmp_path / "fixed")
    assert fixed.facts["task"]["null_threshold"] == 0.5
    assert "calibration" not in fixed.facts, "what the recipe says is not fitted"


def test_an_answer_that_is_not_at_its_offset(
    folders: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [row for row in asked(40) if row["answers"]]
    for row in rows[3:5]:
        row["answers"][0]["answer_start"] += 1
    path = write_rows(tmp_path / "a.jsonl", rows)
    with pytest.raises(DataError, match=r"answer_start.*Received: 2 that do not, the first .* at line 4 of"):
        Finetuner(folders / "bert").run(read_examples(path), out=tmp_path / "out")
    with caplog.at_level(logging.WARNING):
        kept = read_examples(path, misplaced="drop")
    assert len(kept) == len(rows) - 2
    assert f"2 of {len(rows)} rows of {path} left out" in caplog.text
    assert kept.at(3) == f"line 6 of {path}"


def test_how_a_step_is_split_changes_nothing(folders: Path, tmp_path: Path) -> None:
    """Questions with several rows each, in micro-batches of other sizes, come to the same losses."""
    losses = {}
    for size in (16, 3):
        recipe = LEARNING.with_changes(steps=4, micro_batch_size=size)
        run = Finetuner(folders / "bert", teacher=folders / "choices", recipe=recipe).run(
            choices(60, seed=4), out=tmp_path / str(size)
        )
        losses[size] = run.log.losses["total"]
    np.testing.assert_allclose(losses[16], losses[3], rtol=1e-4)


def test_rows_that_were_learnt_from_are_counted_aloud(
    folders: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = LEARNING.with_changes(steps=1)
    train = pairs(30)
    with caplog.at_level(logging.WARNING, logger="distilbert.torch.finetune"):
        Finetuner(folders / "bert", recipe=recipe).run(
            train, evaluate=[*train[:7], *pairs(5, seed=3)], out=tmp_path / "a"
        )
    assert "7 of the 12 examples of the evaluation data are among the training data too" in caplog.text


def test_tasks_that_do_not_go_together(folders: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for rows, teacher, sentence in (
        (scored, "several", "must answer with a number. Received: a teacher for multi-label"),
        (several, "pairs", "must tell several. Received: a teacher for sequence-classification"),
        (choices, "pairs", "must choose. Received: a teacher for sequence-classification"),
        (pairs, "scored", "must have the labels of the training data"),
    ):
        with pytest.raises(ConfigError) as refused:
            Finetuner(folders / "bert", teacher=folders / teacher).run(rows(30), out=out)
        assert sentence in str(refused.value)
    with pytest.raises(DataError, match="trained on pairs reads two texts. Received: one text a row"):
        Predictor.open(folders / "pairs").answers([{"text": "ball"}])
    with pytest.raises(ConfigError, match="texts with one label each. Received: a model for regression"):
        TextClassifier.open(folders / "scored")
    with pytest.raises(DataError, match="trained on pairs reads two texts. Received: one text a row"):
        TextClassifier.open(folders / "pairs").answers(["ball"])
    with pytest.raises(DataError, match="of the task regression"):
        Finetuner(folders / "bert", task="regression").run(
            Predictor.open(folders / "pairs").task.read(list(enumerate(pairs(9))), source="rows", columns={}),
            out=out,
        )
    assert not out.exists()


def test_a_published_folder_without_our_facts(folders: Path, tmp_path: Path) -> None:
    """What it answers is told by its configuration."""
    import shutil

    for name, (_, task, *_) in KINDS.items():
        shutil.copytree(folders / name, tmp_path / name)
        (tmp_path / name / "distilbert.json").unlink()
        assert Predictor.open(tmp_path / name).task.name == task
    assert Predictor.open(tmp_path / "several").task == MultiLabelClassification(("food", "music", "sport"))


def test_a_head_is_kept_where_it_is_of_the_task(folders: Path, tmp_path: Path) -> None:
    still = LEARNING.with_changes(steps=1, learning_rate=1e-12)
    for name, (rows, *_) in KINDS.items():
        run = Finetuner(folders / name, recipe=still).run(rows(60, seed=1), out=tmp_path / name)
        assert run.facts["new_weights"] == []
    run = Finetuner(folders / "scored", recipe=still).run(several(60), out=tmp_path / "other")
    assert any("classifier" in key for key in run.facts["new_weights"])


def test_long_pairs_are_cut_where_they_are_longer(folders: Path) -> None:
    predictor = Predictor.open(folders / "pairs")
    rows = [{"text_a": "ball " * 5, "text_b": "goal " * 40}, {"text_a": "a", "text_b": "b"}]
    examples = predictor.task.read(list(enumerate(rows)), source="rows", columns={}, labelled=False)
    made = predictor.rows(examples)
    assert [len(ids) for ids in made.input_ids] == [32, 5]
    assert made.dropped.tolist() == [45 + 3 - 32, 0]
    assert made.seconds.tolist() == [7, 3]
    assert predictor.answers_and_cut(rows)[1] == 1


def test_one_text_stays_one_text(folders: Path, tmp_path: Path) -> None:
    texts, labels = sentences(60)
    recipe = LEARNING.with_changes(steps=1)
    rows = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
    Finetuner(folders / "bert", recipe=recipe).run(rows, out=tmp_path / "a")
    assert TextClassifier.open(tmp_path / "a").answers(["ball"])[0].label in ("food", "music", "sport")
