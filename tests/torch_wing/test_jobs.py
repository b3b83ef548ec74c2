"""Whole jobs on a tiny language: each one's folder is the next one's input, and the peer's too."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from small_files import SUBJECTS, sentences, write_teacher

import distilbert
from distilbert import (
    DistilBertForSequenceClassification,
    DistilBertTokenizerFast,
    Distiller,
    Finetuner,
    Finetuning,
    LabelledTexts,
    LanguageModelling,
    Pretrainer,
    TextClassifier,
    evaluate,
    shrink,
)
from distilbert.core.files import read_json
from distilbert.errors import CheckpointError, ConfigError, DataError, TrainingError

READING = LanguageModelling(
    steps=60, batch_size=16, micro_batch_size=16, max_length=32, min_length=3, learning_rate=3e-3, dropout=0.0
)
TEACHING = Finetuning(
    steps=200, batch_size=16, micro_batch_size=48, max_length=32, learning_rate=1e-3, dropout=0.0
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """teacher-lm, student-lm and the classifiers teacher and student, made by the jobs themselves."""
    root = tmp_path_factory.mktemp("jobs")
    texts, _ = sentences(400, seed=1)
    write_teacher(root / "untrained")
    Pretrainer(root / "untrained", recipe=READING).run(texts, out=root / "teacher-lm")
    Distiller(root / "teacher-lm", layers=2, recipe=READING).run(texts, out=root / "student-lm")
    train, test = (LabelledTexts(*sentences(n, seed=s)) for n, s in ((400, 2), (200, 3)))
    Finetuner(root / "teacher-lm", recipe=TEACHING).run(train, out=root / "teacher", evaluate=test)
    Finetuner(root / "student-lm", recipe=TEACHING, teacher=root / "teacher").run(
        train, out=root / "student", evaluate=test, unlabelled=texts
    )
    return root


def test_each_job_does_what_it_is_for(folders: Path) -> None:
    losses = {}
    for name in ("teacher-lm", "student-lm"):
        losses[name] = read_json(folders / name / "distilbert.json")["training"]["final_losses"]
    assert losses["teacher-lm"]["masked_lm"] < 3.9 < np.log(52), "it learnt more than to guess"
    assert losses["student-lm"]["cosine"] < 0.2
    assert losses["student-lm"]["distribution"] < 0.3
    for name in ("teacher", "student"):
        scores = read_json(folders / name / "distilbert.json")["evaluation"]
        assert scores["accuracy"]["value"] > 0.9
        assert scores["accuracy"]["low"] <= scores["accuracy"]["value"] <= scores["accuracy"]["high"]
        assert scores["rows"] == 200


def test_the_facts_of_a_folder(folders: Path) -> None:
    facts = read_json(folders / "student" / "distilbert.json")
    assert facts["made_by"] == "finetune"
    assert facts["task"] == {"name": "sequence-classification", "labels": sorted(SUBJECTS)}
    assert facts["data"].pop("fingerprint")
    assert facts["data"] == {
        "labelled": 400, "judged": 200, "unlabelled": 400, "cut_to_max_length": 0,
    }  # fmt: skip
    assert facts["recipe"]["learning_rate"] == 1e-3
    distilled = read_json(folders / "student-lm" / "distilbert.json")
    assert distilled["teacher_layers"] == [0, 3]
    assert distilled["text"]["texts"] == 400
    assert json.loads((folders / "student" / "config.json").read_text()).keys() <= PUBLISHED


#: Keys that the peer writes into config.json.
PUBLISHED = {
    "activation", "architectures", "attention_dropout", "dim", "dropout", "dtype", "hidden_dim", "id2label",
    "initializer_range", "label2id", "max_position_embeddings", "model_type", "n_heads", "n_layers",
    "pad_token_id", "problem_type", "qa_dropout", "seq_classif_dropout", "sinusoidal_pos_embds",
    "tie_word_embeddings", "vocab_size",
}  # fmt: skip


@pytest.mark.parametrize("name", ["teacher", "student"])
def test_the_peer_gives_the_same_answers_from_the_folder(folders: Path, name: str) -> None:
    import transformers

    texts, _ = sentences(20, seed=9)
    ours = TextClassifier.open(folders / name)
    logits, cut = ours.logits(texts)
    assert cut == 0
    tokenizer = transformers.AutoTokenizer.from_pretrained(folders / name)
    model, report = transformers.AutoModelForSequenceClassification.from_pretrained(
        folders / name, output_loading_info=True
    )
    assert not any(report.values())
    with torch.no_grad():
        theirs = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits.numpy()
    assert np.abs(logits - theirs).max() <= 1e-5
    said = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer)(texts)
    assert [answer.label for answer in ours.answers(texts)] == [answer["label"] for answer in said]


def test_order_and_company_change_no_answer(folders: Path) -> None:
    classifier = TextClassifier.open(folders / "student")
    texts, _ = sentences(50, seed=5)
    logits, _ = classifier.logits(texts, batch_size=7)
    backwards, _ = classifier.logits(texts[::-1], batch_size=16)
    alone = np.concatenate([classifier.logits([text])[0] for text in texts])
    np.testing.assert_allclose(backwards[::-1], logits, atol=1e-5)
    np.testing.assert_allclose(alone, logits, atol=1e-5)
    assert classifier.logits([])[0].shape == (0, 3)


def test_long_texts_are_cut_and_counted(folders: Path) -> None:
    classifier = TextClassifier.open(folders / "student")
    assert classifier.max_length == 32
    _, cut = classifier.logits(["ball " * 40, "ball", "goal " * 40])
    assert cut == 2


def test_the_same_seed_gives_the_same_folder(folders: Path, tmp_path: Path) -> None:
    texts, _ = sentences(100, seed=4)
    recipe = READING.with_changes(steps=5, dropout=0.1)
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        torch.rand(3)  # what was drawn before must not matter
        run = Distiller(folders / "teacher-lm", layers=2, recipe=recipe.with_changes(seed=seed))
        run.run(texts, out=tmp_path / name)
    weights = {name: (tmp_path / name / "model.safetensors").read_bytes() for name in "abc"}
    assert weights["a"] == weights["b"] != weights["c"]


def test_a_run_leaves_the_callers_randomness_alone(folders: Path, tmp_path: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    texts, _ = sentences(40)
    Distiller(folders / "teacher-lm", layers=1, recipe=READING.with_changes(steps=2)).run(
        texts, out=tmp_path / "a"
    )
    assert torch.equal(torch.rand(4), expected)


def test_a_rehearsal_writes_nothing(folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    texts, labels = sentences(60)
    plans = [
        Distiller(folders / "teacher-lm", layers=2, recipe=READING).rehearse(texts),
        Pretrainer(folders / "teacher-lm", recipe=READING).rehearse(texts),
        Finetuner(folders / "student-lm", recipe=TEACHING).rehearse(LabelledTexts(texts, labels)),
    ]
    for plan in plans:
        assert plan.steps in (60, 200)
        steps = plan.steps * plan.seconds_per_step
        assert steps <= plan.expected_seconds < 1.5 * steps + 2, "and looks at what is held out"
        assert plan.parameters > 1000
    assert not list(tmp_path.iterdir())


def test_a_failed_run_leaves_its_last_checkpoint_and_the_old_model(folders: Path, tmp_path: Path) -> None:
    texts, labels = sentences(60)
    out = tmp_path / "out"
    recipe = TEACHING.with_changes(
        checkpoint_every=2, learning_rate=1e30, max_grad_norm=1e30, precision="fp32"
    )
    sane = TEACHING.with_changes(steps=3)
    Finetuner(folders / "student-lm", recipe=sane).run(LabelledTexts(texts, labels), out=out)
    before = (out / "model.safetensors").read_bytes()
    with pytest.raises(TrainingError, match=r"The last good checkpoint is .*out.checkpoints|No checkpoint"):
        Finetuner(folders / "student-lm", recipe=recipe).run(
            LabelledTexts(texts, labels), out=out, force=True
        )
    assert (out / "model.safetensors").read_bytes() == before


def test_a_finetuning_goes_on_where_it_was_interrupted(folders: Path, tmp_path: Path) -> None:
    texts, labels = sentences(60)
    recipe = TEACHING.with_changes(steps=9, checkpoint_every=2, dropout=0.1)
    data, unlabelled = LabelledTexts(texts[:40], labels[:40]), texts[40:]

    def run(out: Path, stop_at: int | None = None, **options: object) -> None:
        def progress(stage: str, done: int, total: int | None, facts: object) -> None:
            if stage == "fine-tune" and done == stop_at:
                raise KeyboardInterrupt

        Finetuner(folders / "student-lm", teacher=folders / "student", recipe=recipe, progress=progress).run(
            data, out=out, unlabelled=unlabelled, **options
        )

    run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", stop_at=6)
    assert not (tmp_path / "broken").exists()
    copy = tmp_path / "broken.checkpoints" / "step-00000004"
    assert TextClassifier.open(copy).task.labels == tuple(sorted(SUBJECTS))
    run(tmp_path / "broken", resume=True)
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "broken"))
    assert one == other
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "whole"]


@pytest.mark.parametrize("damage", ["other names", "a layer", "one array"])
def test_an_encoder_is_never_drawn_anew_in_silence(damage: str, folders: Path, tmp_path: Path) -> None:
    """A job refuses a folder that lacks encoder weights; the names are the file's own."""
    from safetensors.numpy import load_file, save_file

    texts, labels = sentences(40)
    for kind in ("untrained", "student-lm"):
        broken = tmp_path / kind
        shutil.copytree(folders / kind, broken)
        arrays = load_file(broken / "model.safetensors")
        changed = {
            "other names": lambda key: "roberta." + key,
            "a layer": lambda key: None if re.search(r"layer\.1\.", key) else key,
            "one array": lambda key: None if key.endswith("position_embeddings.weight") else key,
        }[damage]
        kept = {name: array for key, array in arrays.items() if (name := changed(key))}
        save_file(kept, broken / "model.safetensors", metadata={"format": "pt"})
        for job in (
            lambda b=broken: Pretrainer(b, recipe=READING).run(texts, out=tmp_path / "new"),
            lambda b=broken: Finetuner(b, recipe=TEACHING).run(
                LabelledTexts(texts, labels), out=tmp_path / "new"
            ),
            lambda b=broken: shrink(b, layers=1, out=tmp_path / "new"),
            lambda b=broken: TextClassifier.open(b),
        ):
            with pytest.raises(CheckpointError, match="every weight of its encoder") as refused:
                job()
            named = re.search(r"without ([\w.]+\w)", str(refused.value))
            assert named, "the file's own names are given"
            assert named[1] in arrays
    assert not (tmp_path / "new").exists()


def test_names_of_old_files_are_read(folders: Path, tmp_path: Path) -> None:
    """LayerNorms called gamma and beta, as files from TensorFlow have them."""
    import transformers
    from safetensors.numpy import load_file, save_file

    for kind in ("teacher-lm", "student-lm"):
        old = tmp_path / kind
        shutil.copytree(folders / kind, old)
        arrays = load_file(old / "model.safetensors")
        renamed = {re.sub(r"([Nn]orm)\.weight$", r"\1.gamma", k): a for k, a in arrays.items()}
        renamed = {re.sub(r"([Nn]orm)\.bias$", r"\1.beta", k): a for k, a in renamed.items()}
        assert any(key.endswith("gamma") for key in renamed)
        save_file(renamed, old / "model.safetensors", metadata={"format": "pt"})
        name = "BertForMaskedLM" if kind == "teacher-lm" else "DistilBertForMaskedLM"
        ours, report = getattr(distilbert, name).from_pretrained(old, output_loading_info=True)
        assert not report.missing
        assert not report.unexpected
        peer = getattr(transformers, name).from_pretrained(folders / kind).eval()
        ids = torch.randint(5, 50, (2, 7))
        with torch.no_grad():
            assert (ours(ids).logits - peer(ids).logits).abs().max() <= 1e-5


def test_a_last_step_that_ruins_the_model_is_seen(folders: Path, tmp_path: Path) -> None:
    texts, labels = sentences(60)
    for steps, every in ((1, 1), (3, 1)):
        recipe = TEACHING.with_changes(
            steps=steps, checkpoint_every=every, learning_rate=1e30, max_grad_norm=1e30, precision="fp32"
        )
        out = tmp_path / f"out{steps}"
        with pytest.raises(TrainingError, match="No checkpoint was kept yet. Lower --learning-rate.$"):
            Finetuner(folders / "student-lm", recipe=recipe).run(LabelledTexts(texts, labels), out=out)
    assert not list(tmp_path.iterdir()), "a checkpoint is kept when a step after it has shown that it is good"


def test_a_ruined_classifier_says_so(folders: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    shutil.copytree(folders / "student", tmp_path / "ruined")
    arrays = load_file(tmp_path / "ruined" / "model.safetensors")
    arrays["classifier.bias"] = arrays["classifier.bias"] * np.nan
    save_file(arrays, tmp_path / "ruined" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="logits must be finite"):
        TextClassifier.open(tmp_path / "ruined").answers(["ball"])


def test_the_original_recipe_freezes_the_positions(folders: Path, tmp_path: Path) -> None:
    texts, _ = sentences(40)
    for frozen in (True, False):
        recipe = READING.with_changes(steps=3, freeze_positions=frozen)
        Distiller(folders / "teacher-lm", layers=2, recipe=recipe).run(texts, out=tmp_path / str(frozen))
    start = shrink(folders / "teacher-lm", layers=2, out=tmp_path / "start")
    assert start.n_layers == 2
    tables = {
        name: distilbert.DistilBertModel.from_pretrained(
            tmp_path / name
        ).embeddings.position_embeddings.weight
        for name in ("True", "False", "start")
    }
    assert torch.equal(tables["True"], tables["start"])
    assert not torch.equal(tables["False"], tables["start"])


def test_a_loss_without_terms_is_refused(folders: Path, tmp_path: Path) -> None:
    texts, labels = sentences(40)
    with pytest.raises(ConfigError, match="At least one term"):
        Finetuner(folders / "student-lm", recipe=TEACHING.with_changes(label_weight=0.0)).run(
            LabelledTexts(texts, labels), out=tmp_path / "a"
        )


def test_a_head_is_kept_where_its_labels_are_the_datas(folders: Path, tmp_path: Path) -> None:
    texts, labels = sentences(60, seed=8)
    still = TEACHING.with_changes(steps=1, learning_rate=1e-12)
    Finetuner(folders / "student", recipe=still).run(LabelledTexts(texts, labels), out=tmp_path / "kept")
    before, after = (
        TextClassifier.open(f).logits(texts)[0] for f in (folders / "student", tmp_path / "kept")
    )
    np.testing.assert_allclose(after, before, atol=1e-4)
    renamed = [f"the {label}" for label in labels]
    Finetuner(folders / "student", recipe=still).run(LabelledTexts(texts, renamed), out=tmp_path / "new")
    new = TextClassifier.open(tmp_path / "new")
    assert new.task.labels == tuple(sorted({f"the {label}" for label in SUBJECTS}))
    assert np.abs(new.logits(texts)[0] - before).max() > 0.1


def test_a_teachers_labels_may_stand_in_another_order(folders: Path, tmp_path: Path) -> None:
    """Its answers are matched by name; by position they would teach the wrong thing."""
    backwards = tmp_path / "backwards"
    model = DistilBertForSequenceClassification.from_pretrained(folders / "student")
    order = [2, 1, 0]
    with torch.no_grad():
        model.classifier.weight.copy_(model.classifier.weight[order])
        model.classifier.bias.copy_(model.classifier.bias[order])
    names = [model.config.id2label[i] for i in order]
    model.config.id2label = dict(enumerate(names))
    model.config.label2id = {name: i for i, name in enumerate(names)}
    model.save_pretrained(backwards)
    DistilBertTokenizerFast.from_pretrained(folders / "student").save_pretrained(backwards)

    texts, labels = sentences(400, seed=2)
    unlabelled, _ = sentences(200, seed=6)
    taught_only = TEACHING.with_changes(label_weight=0.0)
    Finetuner(folders / "student-lm", teacher=backwards, recipe=taught_only).run(
        LabelledTexts(texts, labels), unlabelled=unlabelled, out=tmp_path / "taught"
    )
    scores = evaluate(tmp_path / "taught", LabelledTexts(*sentences(100, seed=3)))
    assert scores["accuracy"]["value"] > 0.9


def renamed(folder: Path, names: list[str], to: Path) -> Path:
    """A classifier whose outputs are called otherwise."""
    shutil.copytree(folder, to)
    config = read_json(to / "config.json")
    config["id2label"] = {str(i): name for i, name in enumerate(names)}
    config["label2id"] = {name: i for i, name in enumerate(names)}
    (to / "config.json").write_text(json.dumps(config))
    facts = read_json(to / "distilbert.json")
    facts["task"]["labels"] = names
    (to / "distilbert.json").write_text(json.dumps(facts))
    return to


def test_a_teacher_whose_labels_are_called_by_each_others_names(folders: Path, tmp_path: Path) -> None:
    data = LabelledTexts(*sentences(60, seed=2))

    def found(teacher: Path) -> list[str]:
        finetuner = Finetuner(folders / "student-lm", teacher=teacher, recipe=TEACHING)
        return [str(finding) for finding in finetuner.examine(data)]

    assert found(folders / "teacher") == []
    names = sorted(SUBJECTS)
    (finding,) = found(renamed(folders / "teacher", [*names[1:], names[0]], tmp_path / "rotated"))
    assert "says food for sport, music for food, sport for music; so read" in finding
    assert "Correct id2label" in finding
    (finding,) = found(renamed(folders / "teacher", [names[1], names[0], names[2]], tmp_path / "swapped"))
    assert "says food for music, music for food; so read" in finding


def test_what_does_not_go_together(folders: Path, tmp_path: Path) -> None:
    texts, labels = sentences(30)
    data = LabelledTexts(texts, labels)
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="need a teacher"):
        Finetuner(folders / "student-lm").run(data, unlabelled=["more"], out=out)
    with pytest.raises(ConfigError, match="must have the labels of the training data"):
        Finetuner(folders / "student-lm", teacher=folders / "teacher").run(
            LabelledTexts(texts, [f"{label}s" for label in labels]), out=out
        )
    with pytest.raises(
        DataError, match=r"among those the model was trained on.*tennis in the evaluation data"
    ):
        Finetuner(folders / "student-lm").run(data, evaluate=LabelledTexts(["x"], ["tennis"]), out=out)
    with pytest.raises(CheckpointError, match=r"Only a fine-tuned folder can classify.*distilbert finetune"):
        TextClassifier.open(folders / "student-lm")
    with pytest.raises(ConfigError, match="must have a masked-language-model head"):
        Distiller(folders / "teacher", layers=1).run(texts, out=out)
    with pytest.raises(ConfigError, match="no layer|from a teacher of 4"):
        Distiller(folders / "teacher-lm", layers=9).run(texts, out=out)
    with pytest.raises(DataError, match="needs text"):
        Distiller(folders / "teacher-lm", layers=1, recipe=READING.with_changes(min_length=5)).run(
            ["a"], out=out
        )
    with pytest.raises(ConfigError, match="device must be one of this machine"):
        TextClassifier.open(folders / "student", device="abacus")
    assert not out.exists()
    assert not list(tmp_path.iterdir())


def test_a_tokenizer_of_another_model_is_refused(folders: Path, tmp_path: Path, minilm: Path) -> None:
    mixed = tmp_path / "mixed"
    shrink(folders / "teacher-lm", layers=1, out=mixed)
    DistilBertTokenizerFast.from_pretrained(minilm).save_pretrained(mixed)
    with pytest.raises(ConfigError, match="an embedding for every token of its tokenizer"):
        Pretrainer(mixed).run(["x"], out=tmp_path / "out")
