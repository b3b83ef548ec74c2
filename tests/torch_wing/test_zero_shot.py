"""Entailment models asked about classes: the peer's pipeline on the same weights, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from foreign_folders import write_foreign
from small_files import SUBJECTS, sentences, write_entailment

from distilbert import ZeroShot
from distilbert.core.progress import silent
from distilbert.core.teachers.entailment import outcomes
from distilbert.errors import ConfigError, DataError
from distilbert.torch.task_teachers import open_teacher

CLASSES = [*SUBJECTS]
TEXTS = [*sentences(6, seed=3)[0], *sentences(2, seed=4, words=60)[0], "ball"]

FOREIGN = ("roberta", "deberta-v2")
FOLDERS = {
    "bert": {},
    "distilbert": {"bert": False},
    "turned": {"labels": ("ENTAILMENT", "Neutral", "Contradiction")},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("entailment")
    for name, options in FOLDERS.items():
        write_entailment(root / name, **options)
    for family in FOREIGN:
        write_foreign(root / family, family, labels=("contradiction", "neutral", "entailment"))
        settings = root / family / "tokenizer_config.json"
        settings.write_text(json.dumps({**json.loads(settings.read_text()), "model_max_length": 38}))
    return root


def peer_scores(folder: Path, **options: object) -> np.ndarray:
    import transformers

    classify = transformers.pipeline(
        "zero-shot-classification", model=str(folder), framework="pt", device="cpu"
    )
    found = classify(TEXTS, candidate_labels=CLASSES, **options)
    return np.array([[row["scores"][row["labels"].index(name)] for name in CLASSES] for row in found])


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("name", [*FOLDERS, *FOREIGN])
def test_scores_are_the_peers(name: str, several: bool, folders: Path) -> None:
    ours = ZeroShot(folders / name)
    found = ours.scores(TEXTS, CLASSES, several=several)
    theirs = peer_scores(folders / name, multi_label=several)
    assert np.abs(found - theirs).max() <= 1e-5
    assert ours.cut == 2 if name in FOLDERS else ours.cut >= 2, "the long texts were cut, by both"
    assert np.ptp(theirs, axis=0).min() > 1e-3, "weights on which texts differ"
    wrong = ours.logits(TEXTS, CLASSES)[..., 1]
    wrong = np.exp(wrong) / np.exp(wrong).sum(1, keepdims=True)
    assert np.abs(wrong - theirs).max() > 1e-2, "of another output"
    others = ZeroShot(folders / name, hypothesis="it is that {}").scores(TEXTS, CLASSES, several=several)
    assert np.abs(others - theirs).max() > 1e-3
    assert (
        np.abs(
            others - peer_scores(folders / name, multi_label=several, hypothesis_template="it is that {}")
        ).max()
        <= 1e-5
    )


def test_one_class_alone_is_weighed_against_its_contradiction(folders: Path) -> None:
    import transformers

    classify = transformers.pipeline(
        "zero-shot-classification", model=str(folders / "bert"), framework="pt", device="cpu"
    )
    theirs = [row["scores"][0] for row in classify(TEXTS, candidate_labels=["food"])]
    np.testing.assert_allclose(ZeroShot(folders / "bert").scores(TEXTS, ["food"])[:, 0], theirs, atol=1e-5)


def test_a_text_is_told_apart_from_its_hypothesis(folders: Path) -> None:
    """Token types of a pair, and the text first: without either a BERT answers otherwise."""
    ours = ZeroShot(folders / "bert")
    found = ours.logits(TEXTS[:3], CLASSES)
    texts, claims = [t for t in TEXTS[:3] for _ in CLASSES], 3 * [f"This example is {c}." for c in CLASSES]
    alone = [f"{text} [SEP] This example is {name}." for text in TEXTS[:3] for name in CLASSES]
    for given in ((claims, texts), (alone,)):
        rows = ours._model.reader.rows(*given, max_length=ours._model.max_length)
        others = np.stack(ours._model.item_logits(rows))
        assert np.abs(found.reshape(9, -1) - others).max() > 1e-3


def test_company_changes_no_answer(folders: Path) -> None:
    ours = ZeroShot(folders / "bert")
    found = ours.targets(TEXTS, CLASSES, progress=silent)
    alone = np.concatenate([ours.targets([text], CLASSES, progress=silent).logits for text in TEXTS])
    np.testing.assert_allclose(found.logits, alone, atol=1e-5)
    turned = ours.targets(TEXTS, CLASSES[::-1], progress=silent)
    np.testing.assert_allclose(turned.logits[:, ::-1], found.logits, atol=1e-5)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("contradiction", "neutral", "entailment"), (2, 0)),
        (("neutral", "CONTRADICTION", "Entailment"), (2, 1)),
        (("entailment", "not_entailment"), (0, 1)),
        (("entailment", "other", "third"), (0, None)),
    ],
)
def test_outputs_are_found_by_name(labels: tuple[str, ...], expected: tuple[int, int | None]) -> None:
    assert outcomes(dict(enumerate(labels))) == expected


def test_what_is_refused(folders: Path, tmp_path: Path) -> None:
    for labels in (("LABEL_0", "LABEL_1", "LABEL_2"), ("entailment", "entailed")):
        write_entailment(tmp_path / labels[1], labels=labels)
        with pytest.raises(ConfigError, match=f"begins with entail.*{labels[0]}, {labels[1]}.*id2label"):
            ZeroShot(tmp_path / labels[1])
    with pytest.raises(ConfigError, match="place for the class"):
        ZeroShot(folders / "bert", hypothesis="It is food.")
    ours = ZeroShot(folders / "bert")
    for classes in ([], ["a", "a"], ["a", " "]):
        with pytest.raises(ConfigError, match="a name of its own"):
            ours.scores(TEXTS, classes)
    with pytest.raises(DataError, match="2. hypothesis of 30 tokens, and room for 29"):
        ours.scores(TEXTS, ["food", " ".join(["ball"] * 26)])
    write_entailment(tmp_path / "two", labels=("entailment", "other"))
    two = ZeroShot(tmp_path / "two")
    assert two.scores(TEXTS, CLASSES).shape == (len(TEXTS), 3)
    with pytest.raises(ConfigError, match="tells contradictions"):
        two.scores(TEXTS, CLASSES, several=True)


def test_an_entailment_folder_teaches_any_task_but_its_own(folders: Path) -> None:
    assert open_teacher(folders / "bert", labels=CLASSES).kind == "entailment model"
    own = ("neutral", "entailment", "contradiction")
    assert open_teacher(folders / "bert", labels=own).kind == "classifier"


def test_labels_read_as_labels(folders: Path, tmp_path: Path) -> None:
    from distilbert import LabelFile, LabelledTexts, label

    out = tmp_path / "labels.jsonl"
    facts = label(folders / "bert", [*TEXTS, TEXTS[0]], classes=CLASSES, out=out)
    assert (facts["texts"], facts["labelled"]) == (9, 9)
    assert facts["teacher"] == {
        "kind": "entailment model", "hypothesis": "This example is {}.", "cut_to_max_length": 2
    }  # fmt: skip
    scores = ZeroShot(folders / "bert").scores(TEXTS, CLASSES)
    found = LabelFile(out).targets(TEXTS, CLASSES, progress=silent)
    np.testing.assert_allclose(found.probabilities, scores, atol=1e-6)
    assert LabelledTexts.read(out).labels == [CLASSES[i] for i in scores.argmax(1)]
    assert json.loads(out.read_text().splitlines()[0]).keys() == {"text", "label", "probabilities"}


def test_other_programs_tell_a_saved_bert_which_text_is_which(folders: Path) -> None:
    import transformers

    for name, expected in (("bert", True), ("distilbert", False)):
        names = transformers.AutoTokenizer.from_pretrained(folders / name).model_input_names
        assert ("token_type_ids" in names) == expected
