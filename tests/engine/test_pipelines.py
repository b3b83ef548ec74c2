"""Our pipelines answer what the peer's do, from the same folder, in the same shapes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import scatter
from pipeline_cases import CLASSES, ENTAILED, LONG, TAGS, TASKS, same
from small_files import write_entailment
from task_folders import rows_of, write_task_folder
from tiny import TEXTS, tiny, tokenizers
from transformers import pipeline as peers

import distilbert
from distilbert.core.pooling import embed
from distilbert.core.sentence_folders import read_modules, write_modules
from distilbert.engine.pipelines import TASKS as OURS
from distilbert.engine.pipelines import pipeline
from distilbert.engine.waiting import Row
from distilbert.errors import CheckpointError, ConfigError, DataError

ATOL = 1e-5
PARIS = "paris is the capital of france ."


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    ours, _ = tokenizers(tmp_path_factory.mktemp("vocabulary"))
    ours.model_max_length = 24
    return ours


def saved(folder: Path, tokenizer: Any, model: Any) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def folder_with(folder: Path, tokenizer: Any, head: str, **fields: Any) -> Path:
    """A model with a head, as a folder."""
    kind = f"DistilBertFor{head}" if head else "DistilBertModel"
    return saved(folder, tokenizer, tiny(kind, vocab_size=len(tokenizer), **fields))


#: Calls beside those that are tried with the peer's own pipelines.
MORE: dict[str, Any] = {
    "one text, one label": ("sentiment-analysis", "SequenceClassification", CLASSES, {}, lambda p: p(PARIS)),
    "the two best": (
        "text-classification", "SequenceClassification", CLASSES, {}, lambda p: p(list(TEXTS), top_k=2),
    ),
    "logits": (
        "text-classification", "SequenceClassification", CLASSES, {},
        lambda p: p([PARIS, {"text": PARIS, "text_pair": TEXTS[1]}], function_to_apply="none", top_k=None),
    ),
    "a number": (
        "text-classification", "SequenceClassification",
        {"num_labels": 1, "problem_type": "regression"}, {}, lambda p: p(list(TEXTS)),
    ),
    "zero-shot, several may hold": (
        "zero-shot-classification", "SequenceClassification", ENTAILED, {"multi_label": True},
        lambda p: p(list(TEXTS[:3]), "work,  film, it", hypothesis_template="it is {} ."),
    ),
    "words are given": (
        "token-classification", "TokenClassification", {"id2label": TAGS},
        {"aggregation_strategy": "average"},
        lambda p: p([TEXTS[0].split(), ["unlike", "acme", "hens"]], is_split_into_words=True),
    ),
    "nothing is left out": (
        "ner", "TokenClassification", {"id2label": TAGS}, {"ignore_labels": []},
        lambda p: p("John lives in Zürich, i.e. NEW york!"),
    ),
    "one list of questions": (
        "question-answering", "QuestionAnswering", {}, {},
        lambda p: p(question=["what is it", "no"], context=[TEXTS[0], TEXTS[5]]),
    ),
    "pieces of words": (
        "question-answering", "QuestionAnswering", {}, {},
        lambda p: p(question="what", context=TEXTS[5], top_k=4, align_to_words=False, max_answer_len=3),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", [*TASKS, *MORE])
def test_a_folder_answers_as_with_the_peer(name: str, tokenizer: Any, tmp_path: Path) -> None:
    task, head, fields, settings, call = {**TASKS, **MORE}[name]
    folder = folder_with(tmp_path / "model", tokenizer, head, **fields)
    with pipeline(task, folder, **settings) as ours:
        found = call(ours)
    assert same(found, call(peers(task, model=str(folder), device="cpu", **settings)))
    assert found
    # Another model would answer otherwise.
    other = scatter(getattr(distilbert, f"DistilBertFor{head}").from_pretrained(folder), seed=1)
    saved(tmp_path / "other", tokenizer, other)
    with pipeline(task, tmp_path / "other", **settings) as ours:
        assert not same(call(ours), found)


def test_a_bert_is_told_which_text_is_which(tmp_path: Path) -> None:
    folder = write_entailment(tmp_path / "bert", labels=("no", "maybe", "yes"))
    pair = {"text": "the team and the ball", "text_pair": "a song"}
    with pipeline("text-classification", folder, top_k=None) as ours:
        assert same(
            ours([pair]), peers("text-classification", model=str(folder), device="cpu", top_k=None)([pair])
        )
        swapped = {"text": pair["text_pair"], "text_pair": pair["text"]}
        assert not same(ours([swapped]), ours([pair]))
    folder = write_task_folder(tmp_path / "asked", "question-answering", bert=True)
    asked = {"question": "is it that", "context": "the song of bread was on the field"}
    with pipeline("question-answering", folder) as ours:
        assert same(ours(**asked), peers("question-answering", model=str(folder), device="cpu")(**asked))


def test_states_are_the_peers(tokenizer: Any, tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "model", tokenizer, "")
    theirs = peers("feature-extraction", model=str(folder), device="cpu")
    with pipeline("feature-extraction", folder) as ours:
        for inputs in (PARIS, list(TEXTS)):
            assert same(ours(inputs), theirs(inputs))
        assert ours(PARIS, return_tensors=True).shape == (1, 9, 32)


def test_similarities_are_cosines_of_the_folders_vectors(tmp_path: Path) -> None:
    folder = write_task_folder(tmp_path / "model", "sentence-embedding")
    texts = ["bread and soup", "a song", "bread and soup", "the team"]
    modules = read_modules(folder)
    model = distilbert.DistilBertModel.from_pretrained(folder).eval()
    given = distilbert.DistilBertTokenizerFast.from_pretrained(folder)(
        texts, padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        states = model(given["input_ids"], given["attention_mask"])[0].numpy()
    vectors = embed(states, given["attention_mask"].numpy(), modules.pooling, modules.after)
    with pipeline("sentence-similarity", folder) as ours:
        found = ours({"source_sentence": texts[0], "sentences": texts[1:]})
        assert found == pytest.approx((vectors[0] @ vectors[1:].T).tolist(), abs=ATOL)
        assert found[1] == pytest.approx(1)
        assert found[0] < 0.999
        with pytest.raises(DataError, match="source_sentence"):
            ours("bread")


def test_vectors_are_the_folders(tmp_path: Path) -> None:
    folder = write_task_folder(tmp_path / "model", "sentence-embedding")
    texts = ["bread and soup", "a song", "the team"]
    modules = read_modules(folder)
    write_modules(folder, replace(modules, prompts={"query": "a song of "}))
    model = distilbert.DistilBertModel.from_pretrained(folder).eval()
    tokenizer = distilbert.DistilBertTokenizerFast.from_pretrained(folder)

    def vectors(texts: list[str]) -> Any:
        given = tokenizer(texts, padding=True, return_tensors="pt")
        with torch.no_grad():
            states = model(given["input_ids"], given["attention_mask"])[0].numpy()
        return embed(states, given["attention_mask"].numpy(), modules.pooling, modules.after)

    with pipeline("sentence-embedding", folder) as ours:
        np.testing.assert_allclose(ours(texts), vectors(texts), atol=ATOL)
        assert ours(texts[0]) == pytest.approx(ours(texts)[0], abs=ATOL)
        prompted = vectors(["a song of bread and soup"])[0]
        np.testing.assert_allclose(ours(texts[0], prompt_name="query"), prompted, atol=ATOL)
        assert np.abs(prompted - ours(texts[0])).max() > 1e-3
        some = ours(texts[0], dimensions=3, return_tensors=True)
        whole = vectors(texts[:1])[0]
        np.testing.assert_allclose(some, whole[:3] / np.linalg.norm(whole[:3]), atol=ATOL)
        with pytest.raises(ConfigError, match="one of the folder's: query"):
            ours("a song", prompt_name="passage")
        with pytest.raises(ConfigError, match="dimensions"):
            ours("a song", dimensions=1000)


def test_sparse_vectors_are_the_published_ones(tokenizer: Any, tmp_path: Path) -> None:
    """log(1 + ReLU(logit)), the greatest of a text's tokens, as in SPLADE's own code."""
    folder = folder_with(tmp_path / "masks", tokenizer, "MaskedLM")
    model = distilbert.DistilBertForMaskedLM.from_pretrained(folder).eval()
    given = tokenizer(list(TEXTS), padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = model(given["input_ids"], given["attention_mask"]).logits
    live = given["attention_mask"][..., None]
    wanted = (torch.log1p(torch.relu(logits)) * live).amax(1).numpy()
    with pipeline("sparse-embedding", folder) as ours:
        for found, own in zip(ours(list(TEXTS)), wanted, strict=True):
            assert [one["index"] for one in found] == np.flatnonzero(own).tolist()
            np.testing.assert_allclose([one["value"] for one in found], own[own > 0], atol=ATOL)
        # Of a long text the windows count as its tokens do.
        long = {one["index"]: one["value"] for one in ours(LONG)}
        assert ours.tally.windowed == 1
        first = {one["index"]: one["value"] for one in ours(LONG, truncation=True)}
        assert all(long[index] >= value - ATOL for index, value in first.items())
        assert len(long) >= len(first)


def test_texts_are_cut_at_either_side(tokenizer: Any, tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "model", tokenizer, "SequenceClassification", **CLASSES)
    pair = {"text": LONG, "text_pair": PARIS}
    with pipeline("text-classification", folder, top_k=None) as ours:
        for side, kept in (("left", slice(-22, None)), ("right", slice(22))):
            words = " ".join(tokenizer.tokenize(LONG)[kept]).replace(" ##", "")
            found = ours.begin([LONG], truncation=True, truncation_side=side)
            assert found.begun.rows[0].ids.tolist() == tokenizer(words)["input_ids"]
            assert found.begun.dropped == len(tokenizer(LONG, verbose=False)["input_ids"]) - 24
            both = ours.begin([pair], truncation=True, truncation_side=side).begun.rows[0]
            tokenizer.truncation_side = side
            wanted = tokenizer(LONG, PARIS, truncation=True, max_length=24)["input_ids"]
            tokenizer.truncation_side = "right"
            assert both.ids.tolist() == wanted
            assert both.ids[both.second - 1] == tokenizer.sep_token_id


def test_pipelines_of_one_model_compute_with_it_once(tokenizer: Any, tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "model", tokenizer, "SequenceClassification", **ENTAILED)
    with pipeline("text-classification", folder) as first:
        second = pipeline("zero-shot-classification", folder, sharing=first)
        assert second._computer is first._computer
        second(PARIS, ["film", "work"])
        assert first.tally.rows == 2
    states = folder_with(tmp_path / "states", tokenizer, "")
    with pipeline("sentence-embedding", states) as first:
        assert pipeline("feature-extraction", states, sharing=first)._computer is not first._computer


def test_choices_are_those_of_the_peers_model(tmp_path: Path) -> None:
    from transformers import DistilBertForMultipleChoice, DistilBertTokenizerFast

    folder = write_task_folder(tmp_path / "model", "multiple-choice")
    rows = [{"question": row["question"], "choices": row["choices"]} for row in rows_of("multiple-choice", 5)]
    model, tokenizer = (
        kind.from_pretrained(folder) for kind in (DistilBertForMultipleChoice, DistilBertTokenizerFast)
    )
    with pipeline("multiple-choice", folder) as ours:
        for row, found in zip(rows, ours(rows), strict=True):
            given = tokenizer(
                [row["question"]] * len(row["choices"]), row["choices"], padding=True, return_tensors="pt"
            )
            with torch.no_grad():
                logits = model.eval()(given["input_ids"][None], given["attention_mask"][None]).logits[0]
            likely = logits.softmax(-1).numpy()
            assert found["scores"] == pytest.approx(likely.tolist(), abs=ATOL)
            assert found["index"] == int(likely.argmax())
            assert found["answer"] == row["choices"][found["index"]]


def test_iterators_are_answered_as_they_come(tokenizer: Any, tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "model", tokenizer, "SequenceClassification", **CLASSES)
    with pipeline("text-classification", folder) as ours:
        answers = ours(text for text in TEXTS)
        assert isinstance(answers, Iterator)
        assert list(answers) == ours(list(TEXTS))
        assert ours([]) == []


@pytest.mark.parametrize("runtime", ["openvino", "torch"])
def test_words_are_guessed_on_every_runtime(runtime: str, tokenizer: Any, tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "model", tokenizer, "MaskedLM")
    texts = ["paris is the [MASK] of france .", "no [MASK] [MASK]", "it is [MASK]", "[MASK] is bad"]
    with pipeline("fill-mask", folder) as usual, pipeline("fill-mask", folder, runtime=runtime) as ours:
        assert same(ours(texts), usual(texts))
        # What is kept of each text is what its masks could be, and no other token's.
        request = ours.begin(texts[:2]).submit()
        assert [own.shape for (own,) in request.result()] == [(1, len(tokenizer)), (2, len(tokenizer))]


# Long texts, of which the peer answers nothing.


def test_long_texts_are_read_in_windows(tokenizer: Any, tmp_path: Path) -> None:
    classes = folder_with(tmp_path / "classes", tokenizer, "SequenceClassification", **CLASSES)
    with pipeline("text-classification", classes, top_k=None) as ours:
        (found,) = ours(LONG)
        assert ours.tally.windowed == 1
        assert sum(told["score"] for told in found) == pytest.approx(1)
        assert not same(found, ours(LONG, truncation=True)[0])
        assert ours(LONG, truncation=True, max_length=9) == ours(LONG, truncation=True, max_length=9)
    tags = folder_with(tmp_path / "tags", tokenizer, "TokenClassification", id2label=TAGS)
    with pipeline("ner", tags, ignore_labels=[]) as ours:
        found = ours(LONG)
        words = LONG.split()
        assert [LONG[told["start"] : told["end"]] for told in found if not told["word"].startswith("##")]
        assert found[0]["start"] == 0
        assert found[-1]["end"] == len(LONG)
        covered = {at for told in found for at in range(told["start"], told["end"])}
        assert covered == {i for i, character in enumerate(LONG) if character != " "}
        assert len({told["index"] for told in found}) == len(found) >= len(words)
    states = folder_with(tmp_path / "states", tokenizer, "")
    with pipeline("feature-extraction", states) as ours:
        whole = ours(LONG, return_tensors=True)[0]
        assert len(whole) == len(tokenizer(LONG, verbose=False)["input_ids"])
        # The first window has 22 tokens of the text, and shares 5 with the next, of which 2 are its own.
        first = Row(ours.reader.rows([LONG], max_length=24).input_ids[0])
        alone = ours._computer.submit([first]).result()[0][0]
        np.testing.assert_allclose(whole[:20], alone[:20], atol=ATOL)
        assert np.abs(whole[20] - alone[20]).max() > 1e-4
    masks = folder_with(tmp_path / "masks", tokenizer, "MaskedLM")
    text = f"{LONG} [MASK] {LONG}"
    with pipeline("fill-mask", masks) as ours:
        found = ours(text)
        assert len(found) == 5
        assert len(found[0]["sequence"]) > 2 * len(LONG) - 100  # decoding leaves spaces out
        with pytest.raises(DataError, match="must stand within"):
            ours(f"[MASK] {LONG} [MASK]")


# What cannot be.


def test_what_cannot_be_is_refused(tokenizer: Any, tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "model", tokenizer, "SequenceClassification", **CLASSES)
    with pytest.raises(ConfigError, match="text-classification, token-classification, .*ner"):
        pipeline("translation", folder)
    with pytest.raises(CheckpointError, match="head for question answering"):
        pipeline("question-answering", folder)
    with pipeline("text-classification", folder, on_long="error") as ours:
        with pytest.raises(DataError, match="at most 24 tokens"):
            ours(LONG)
        with pytest.raises(DataError, match="texts"):
            ours([PARIS, 3])
        with pytest.raises(ConfigError, match="function_to_apply"):
            ours(PARIS, function_to_apply="tanh")
        with pytest.raises(ConfigError, match="no more tokens"):
            ours(PARIS, max_length=500)
        with pytest.raises(ConfigError, match="top_k, function_to_apply, .* Received: colour"):
            ours(PARIS, colour="red")
    with pytest.raises(ConfigError, match="on_long. Received: device"):
        pipeline("text-classification", folder, device="cpu")
    masks = folder_with(tmp_path / "masks", tokenizer, "MaskedLM")
    with pipeline("fill-mask", masks) as ours, pytest.raises(DataError, match="must have a mask"):
        ours(PARIS)


def test_every_pipeline_has_its_file() -> None:
    from importlib import import_module

    for name, kind in OURS.items():
        made = getattr(import_module(f"distilbert.engine.pipelines.{name.replace('-', '_')}"), kind)
        assert made.__doc__
