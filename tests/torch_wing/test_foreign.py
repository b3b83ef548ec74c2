"""Teachers of other families and vocabularies: what they say is the peer's, and heard at its place."""

import json
import logging
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from foreign_folders import write_foreign
from safetensors.numpy import load_file, save_file
from small_files import SPECIALS, SUBJECTS, WORDS, sentences, write_teacher

from distilbert import Distiller, Finetuner, Finetuning, LabelledTexts, LanguageModelling
from distilbert.cli.main import main
from distilbert.core.config import IGNORED_LABEL
from distilbert.core.data.packing import pack
from distilbert.core.data.token_rows import TokenRows
from distilbert.core.files import read_json
from distilbert.core.parameters import WORD_EMBEDDINGS
from distilbert.core.tasks.examples import Examples
from distilbert.core.training.word_findings import chance, entropy, word_counts
from distilbert.errors import CheckpointError, ConfigError, MissingExtraError
from distilbert.torch.foreign import open_foreign_language_model
from distilbert.torch.foreign_tasks import ForeignPredictor, open_classifier
from distilbert.torch.losses import distribution_sum

CPU = torch.device("cpu")
FAMILIES = ("roberta", "modernbert", "deberta", "deberta-v2", "electra")
TEXTS = [text for words in (6, 12) for text in sentences(40, words=words, seed=words)[0]]
TEXTS += [text.capitalize().replace(" ", ", ", 1) + "." for text in TEXTS[:10]]
RECIPE = LanguageModelling(
    steps=3, batch_size=8, micro_batch_size=8, max_length=24, min_length=3, dropout=0.0, learning_rate=1e-3,
    held_out=4, precision="fp32",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT, one teacher of each family, and the words of the tiny language in another order."""
    root = tmp_path_factory.mktemp("foreign")
    write_teacher(root / "bert")
    for family in FAMILIES:
        write_foreign(root / family, family)
    (root / "words").mkdir()
    # Some words are taken apart, one is unknown, and there are marks: not all is one token of both.
    words = [
        *SPECIALS,
        *(w for w in WORDS[5:] if w not in ("kitchen", "melody", "ball")),
        "kit",
        "##chen",
        ",",
        ".",
    ]
    (root / "words" / "vocab.txt").write_text("\n".join([*words, "mel", "##od", "##y"]) + "\n")
    return root


def objective_of(*teachers: Path, recipe: LanguageModelling = RECIPE, **options):
    distiller = Distiller(list(teachers), recipe=recipe, device="cpu", **options)
    return distiller._prepare(TEXTS, CPU).objective


def rows_of(teacher: ForeignPredictor, texts: list[str]) -> TokenRows:
    return teacher.rows(Examples(teacher.task.name, {"text": texts}))


def random_student(folder: Path) -> dict:
    return {"layers": 1, "init": "random", "tokenizer": folder / "words", "vocabulary": "shared"}


@pytest.mark.parametrize("family", FAMILIES)
def test_what_it_says_is_what_the_peer_says(folder: Path, family: str) -> None:
    """Packed texts go in and come out as they lie, each as if it were alone."""
    import transformers

    model, tokenizer = open_foreign_language_model(folder / family, device=CPU)
    assert model.head_apart
    rows = [np.array(ids) for ids in tokenizer(TEXTS[:7])["input_ids"]]
    assert len(set(map(len, rows))) > 1
    at = torch.arange(sum(map(len, rows)))[1::3]
    with torch.no_grad():
        states, words = model.listen(pack(rows), at, layers=True)
        peer = transformers.AutoModelForMaskedLM.from_pretrained(folder / family).eval()
        outputs = [peer(torch.from_numpy(row)[None], output_hidden_states=True) for row in rows]
    logits = torch.cat([output.logits[0] for output in outputs])[at]
    some = torch.tensor([0, 3, 5])
    assert (words(some) - logits[some]).abs().max() <= 1e-5
    assert (words(some) - logits[some + 1]).abs().max() > 1e-2, "and not of another token"
    assert len(states) == 4
    for layer, found in enumerate(states[:-1]):
        expected = torch.cat([output.hidden_states[layer][0] for output in outputs])
        assert (found - expected).abs().max() <= 1e-5
    with torch.no_grad():
        ends = [peer.base_model(torch.from_numpy(row)[None]).last_hidden_state[0] for row in rows]
    assert (states[-1] - torch.cat(ends)).abs().max() <= 1e-5
    listed = torch.cat([output.hidden_states[-1][0] for output in outputs])
    normed = family == "modernbert"
    assert ((states[-1] - listed).abs().max() > 1e-2) == normed, "its last norm is not in the list"
    with torch.no_grad():
        (last,), _ = model.listen(pack(rows), at, layers=False)
    assert torch.equal(last, states[-1])


def by_hand(folder: Path, family: str, objective, batch_rows: np.ndarray) -> tuple[float, float, int]:
    """The distribution and cosine terms of some sequences, token by token, from the peer alone."""
    import transformers

    peer = transformers.AutoModelForMaskedLM.from_pretrained(folder / family).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / family)
    words = (folder / "words" / "vocab.txt").read_text().split()
    space = "\u2581" if family == "deberta-v2" else "\u0120"
    theirs = {token: i for token, i in tokenizer.get_vocab().items() if i > 4}
    student, data = objective.model, objective.data

    def low(token: str) -> str:
        return token.removeprefix(space).lower()

    divergence = cosine = 0.0
    count = 0
    for row in batch_rows:
        ids = data[row]
        rng = np.random.default_rng((0, 0, int(row)))
        hidden, labels = objective.masking(ids, rng)
        text, spans = data.spelled(int(row))
        read = tokenizer(text, return_offsets_mapping=True)
        asked = list(read["input_ids"])
        places = {}
        for j, (start, end) in enumerate(read["offset_mapping"]):
            if start < end and text[start] == " ":
                start += 1
            places[start, end] = j
        for i, (start, end) in enumerate(spans.tolist()):
            if hidden[i] != ids[i]:
                for j, (first, last) in enumerate(read["offset_mapping"]):
                    if first < end and last > start:
                        asked[j] = tokenizer.mask_token_id
        with torch.no_grad():
            told = peer(torch.tensor([asked]), output_hidden_states=True)
            own = student(torch.from_numpy(hidden.astype(np.int64))[None], output_hidden_states=True)
        for i, (start, end) in enumerate(spans.tolist()):
            j = places.get((start, end))
            if start == end or j is None:
                continue
            token = tokenizer.convert_ids_to_tokens(read["input_ids"][j])
            word = words[ids[i]]
            behind, goes_on = token.startswith(space), word.startswith("##")

            def spelled(one: str, behind: bool = behind, goes_on: bool = goes_on) -> list[int]:
                """The teacher's tokens for a word of the student's in this place, in whichever case."""
                wanted = one.removeprefix("##") if one.startswith("##") == goes_on else None
                return [n for t, n in theirs.items() if t.startswith(space) == behind and low(t) == wanted]

            both = {n: found for n, one in enumerate(words) if n > 4 and (found := spelled(one))}
            if read["input_ids"][j] not in both.get(int(ids[i]), []):
                continue
            pair = own.hidden_states[-1][0, i], told.hidden_states[-1][0, j]
            cosine += 1 - float(torch.cosine_similarity(*pair, 0))
            if labels[i] != IGNORED_LABEL:
                its = torch.stack([told.logits[0, j, found].logsumexp(0) for found in both.values()])
                mine = own.logits[0, i, list(both)]
                divergence += float(distribution_sum(mine[None], its[None], temperature=2.0))
                count += 1
    return divergence, cosine, count


@pytest.mark.parametrize("family", ["roberta", "deberta-v2"])
def test_terms_by_hand(folder: Path, family: str) -> None:
    """No word is replaced by another here, which has a test of its own; nor is there any in capitals."""
    recipe = RECIPE.with_changes(mask_share=0.9, keep_share=0.1, mask_rate=0.4)
    distiller = Distiller(folder / family, recipe=recipe, device="cpu", **random_student(folder))
    objective = distiller._prepare([t for t in TEXTS if t.islower()], CPU).objective
    objective.model.eval()
    rows = objective.learnt[:6]
    batch = objective.micro_batch(rows, 0)
    scales = {"distribution": 1.0, "cosine": 1.0}
    with torch.no_grad():
        sums = objective.losses(batch, scales)[1]
    divergence, cosine, count = by_hand(folder, family, objective, rows)
    assert float(sums["distribution"]) == pytest.approx(divergence, rel=1e-4)
    assert float(sums["cosine"]) == pytest.approx(cosine, rel=1e-4)
    assert batch.counts["distribution"] == count
    assert 0 < count < batch.counts["masked_lm"], "some hidden tokens have no counterpart"
    assert batch.counts["cosine"] > count


@pytest.fixture(scope="module")
def turned(folder: Path) -> Path:
    """The BERT with its vocabulary in another order, and its rows with it: the same model."""
    shutil.copytree(folder / "bert", folder / "turned")
    order = np.random.default_rng(0).permutation(len(WORDS))
    (folder / "turned" / "vocab.txt").write_text("\n".join(WORDS[i] for i in order) + "\n")
    (folder / "turned" / "tokenizer.json").unlink(missing_ok=True)
    (folder / "turned" / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True}))
    path = folder / "turned" / "model.safetensors"
    arrays = load_file(path)
    for key, array in arrays.items():
        if array.shape[:1] == (len(WORDS),):
            arrays[key] = np.ascontiguousarray(array[order])
    save_file(arrays, path, metadata={"format": "pt"})
    config = read_json(folder / "turned" / "config.json")
    config["pad_token_id"] = int(np.flatnonzero(order == 0)[0])
    (folder / "turned" / "config.json").write_text(json.dumps(config))
    return folder / "turned"


def test_a_vocabulary_in_another_order_changes_nothing(folder: Path, turned: Path) -> None:
    """The terms are those of the teacher that it is, random words behind which others hide included."""
    recipe = RECIPE.with_changes(
        jensen_shannon_weight=1.0, logits_error_weight=1.0, hidden_weight=1.0, positions="all", mask_share=0.5
    )
    start = {"student": folder / "bert", "vocabulary": "shared"}
    found = {}
    for teacher in ("bert", "turned"):
        objective = objective_of(
            folder / "electra", folder / teacher, recipe=recipe, teacher_weights=[1, 3], **start
        )
        assert (objective.teachers[1].reading is None) == (teacher == "bert")
        assert objective.teachers[0].reading is None, "a family of the same vocabulary reads the same tokens"
        objective.model.eval()
        batch = objective.micro_batch(objective.learnt[:9], 0)
        scales = {name: 1.0 for name, weight in objective.weights.items() if weight}
        with torch.no_grad():
            sums = objective.losses(batch, scales)[1]
            judged, of = objective.judge(batch, by=objective.teachers[1])
        found[teacher] = {n: float(v) for n, v in sums.items()}, {n: float(v) for n, v in judged.items()}, of
        assert batch.counts["cosine"] == pytest.approx(len(batch.given["heard"]))
    # Who reads the student's ids as if they were its own says something else.
    objective.teachers = objective.teachers[0], replace(objective.teachers[1], reading=None)
    with torch.no_grad():
        wrong = objective.losses(objective.micro_batch(objective.learnt[:9], 0), scales)[1]
    assert float(wrong["distribution"]) != pytest.approx(found["bert"][0]["distribution"], rel=1e-2)
    for one, other in zip(found["bert"], found["turned"], strict=True):
        assert {**other, "shared": 0} == pytest.approx({**one, "shared": 0}, rel=1e-4, abs=1e-6)
    assert found["turned"][1]["shared"] == found["turned"][2]["shared"]


def test_words_that_are_one_to_the_student_count_together(folder: Path, turned: Path) -> None:
    """Soup and soup of a cased teacher are soup to a student that lower-cases: likelihoods add up."""
    cased = folder / "cased"
    shutil.copytree(turned, cased)
    words = (cased / "vocab.txt").read_text().split()
    at, capital = words.index("soup"), words.index("cheese")
    words[capital] = "Soup"
    (cased / "vocab.txt").write_text("\n".join(words) + "\n")
    (cased / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False}))
    objective = objective_of(cased, student=folder / "bert", vocabulary="shared")
    (kind,) = objective.teachers[0].kinds
    logits = torch.randn(3, len(words)) * 30
    found = kind.of_teacher(logits)
    assert found.shape == (3, len(words) - 1), "there is no cheese any more"
    assert WORDS.index("cheese") not in kind.own
    soup = int(kind.names[WORDS.index("soup")])
    expected = torch.logaddexp(logits[:, at], logits[:, capital])
    torch.testing.assert_close(found[:, soup], expected)
    assert not torch.allclose(found[:, soup], logits[:, at])
    bread = int(kind.names[WORDS.index("bread")])
    torch.testing.assert_close(found[:, bread], logits[:, words.index("bread")])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_is_run_for_compared_words_alone(folder: Path, family: str) -> None:
    objective = objective_of(folder / family, **random_student(folder))
    (teacher,) = objective.teachers
    rows: list[int] = []
    teacher.model.model.get_output_embeddings().register_forward_hook(
        lambda _, __, logits: rows.append(logits[..., 0].numel())
    )
    batch = objective.micro_batch(objective.learnt[:9], 0)
    with torch.no_grad():
        objective.losses(batch, {"cosine": 1.0, "masked_lm": 1.0})
        assert not rows, "nothing of these terms is about its words"
        objective.losses(batch, {"cosine": 1.0, "distribution": 1.0})
    assert sum(rows) == batch.counts["distribution"] < sum(batch.given["reads"][0]["texts"].lengths)


def test_families_that_can_be_asked_for_less(folder: Path, tmp_path: Path) -> None:
    write_foreign(tmp_path / "fnet", "fnet")
    with pytest.raises(ConfigError, match=r"family fnet: .*attention_mask.*another teacher"):
        open_foreign_language_model(tmp_path / "fnet", device=CPU)
    with pytest.raises(ConfigError, match="family fnet"):
        open_classifier(write_foreign(tmp_path / "judge", "fnet", labels=("a", "b")), device="cpu")
    bart = write_foreign(tmp_path / "bart", "bart")
    options = {"device": "cpu", **random_student(folder)}
    recipe = RECIPE.with_changes(hidden_weight=1.0)
    with pytest.raises(ConfigError, match="--hidden-weight 0"):
        Distiller(bart, recipe=recipe, **options).run(TEXTS, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    log = Distiller(bart, recipe=RECIPE, **options).run(TEXTS, out=tmp_path / "out").log
    assert log.losses["distribution"][0] > 0


def test_a_classifier_answers_in_bf16_where_it_can(folder: Path, tmp_path: Path) -> None:
    for family in ("roberta", "deberta"):
        place = write_foreign(tmp_path / family, family, labels=("a", "b"))
        exact, rough = (open_classifier(place, device="cpu", precision=p) for p in ("fp32", "bf16"))
        assert rough.precision == ("bf16" if family == "roberta" else "fp32")
        one, other = (np.stack(model.item_logits(rows_of(model, TEXTS[:5]))) for model in (exact, rough))
        np.testing.assert_allclose(other, one, atol=0.1)
        assert np.array_equal(one, other) == (family == "deberta")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_student_learns_from_every_family(
    folder: Path, tmp_path: Path, family: str, precision: str
) -> None:
    recipe = RECIPE.with_changes(steps=15, hidden_weight=1.0, learning_rate=3e-3, precision=precision)
    options = random_student(folder)
    run = Distiller(folder / family, dim=16, n_heads=2, recipe=recipe, device="cpu", **options).run(
        TEXTS, out=tmp_path / "out"
    )
    for name in ("masked_lm", "distribution", "cosine", "hidden"):
        values = run.log.losses[name]
        assert 0 < sum(values[-5:]) < sum(values[:5]), name
    facts = read_json(tmp_path / "out" / "distilbert.json")
    assert facts["teacher"]["model_type"] == family
    assert facts["vocabulary"] == "shared"
    assert 0.3 < run.log.judged[-1]["shared"] <= 1


def test_a_run_with_a_teacher_of_another_vocabulary_goes_on(folder: Path, tmp_path: Path) -> None:
    recipe = RECIPE.with_changes(steps=6, checkpoint_every=2, dropout=0.1)

    def run(out: Path, stop_at: int | None = None, **options: object) -> bytes:
        def progress(stage: str, done: int, total: int | None, facts: object) -> None:
            if stage == "distil" and done == stop_at:
                raise KeyboardInterrupt

        teachers = [folder / "roberta", folder / "electra"]
        begun = {"dim": 16, "n_heads": 2, "recipe": recipe, "device": "cpu", **random_student(folder)}
        Distiller(teachers, progress=progress, **begun).run(TEXTS, out=out, **options)
        return (out / "model.safetensors").read_bytes()

    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", stop_at=4)
    assert run(tmp_path / "broken", resume=True) == whole


def test_the_doctor_says_where_a_teacher_is_hardly_heard(folder: Path) -> None:
    letters = sorted({letter for word in WORDS[5:] for letter in word})
    (folder / "letters").mkdir()
    words = [*SPECIALS, *letters, *(f"##{letter}" for letter in letters)]
    (folder / "letters" / "vocab.txt").write_text("\n".join(words) + "\n")
    options = {"layers": 2, "vocabulary": "shared", "recipe": RECIPE, "device": "cpu"}
    (finding,) = Distiller(folder / "bert", tokenizer=folder / "letters", **options).examine(TEXTS)
    assert "at only" in str(finding)
    assert "--tokenizer" in finding.remedy
    (finding,) = Distiller(folder / "bert", tokenizer=folder / "words", **options).examine(TEXTS)
    assert "at only" not in str(finding)


def test_the_doctor_compares_a_teacher_with_the_words_that_it_is_asked_about(folder: Path) -> None:
    """Of the few words that both have, one who knows nothing tells one more easily than of all."""
    few = folder / "few"
    shutil.copytree(folder / "bert", few)
    size = WORDS.index("apple")
    (few / "vocab.txt").write_text("\n".join(WORDS[:size]) + "\n")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (few / name).unlink(missing_ok=True)
    arrays = load_file(few / "model.safetensors")
    short = {k: a[:size].copy() if a.shape[:1] == (len(WORDS),) else a for k, a in arrays.items()}
    save_file(short, few / "model.safetensors", metadata={"format": "pt"})
    config = read_json(few / "config.json")
    (few / "config.json").write_text(json.dumps({**config, "vocab_size": size}))
    begun = {"student": folder / "bert", "vocabulary": "shared", "recipe": RECIPE, "device": "cpu"}
    objective = Distiller(few, **begun)._prepare(TEXTS, CPU).objective
    counts = word_counts(objective.data, len(WORDS), [0, 1, 2, 3, 4])
    told = [str(finding) for finding in Distiller(few, **begun).examine(TEXTS)]
    (finding,) = [one for one in told if "no better than their frequency" in one]
    assert f"({entropy(counts[:size]):.2f})" in finding
    nats = float(re.search(r"at ([\d.]+) nats", finding)[1])
    assert nats < entropy(counts), "beside all of the student's words it would have passed"
    # Of a teacher that tells words behind a space from others, each kind counts as often as it is heard.
    (roberta,) = objective_of(folder / "roberta", student=folder / "bert", vocabulary="shared").teachers
    ways = [entropy(counts[np.unique(roberta.reading.shared.pairs(kind)[0])]) for kind in (0, 1)]
    assert chance(counts, roberta, {0: 3, 1: 1, -1: 9}) == pytest.approx((3 * ways[0] + ways[1]) / 4)
    assert ways[0] != pytest.approx(ways[1], abs=1e-2)


def test_a_student_with_words_of_its_own(folder: Path, tmp_path: Path) -> None:
    """Cut from its teacher: rows of words that the teacher has are its own, and others the mean of all."""
    still = RECIPE.with_changes(learning_rate=1e-12, steps=1)
    options = {"layers": 2, "tokenizer": folder / "words", "recipe": still, "device": "cpu"}
    with pytest.raises(ConfigError, match="--vocabulary shared"):
        Distiller(folder / "bert", **options).run(TEXTS, out=tmp_path / "out")
    assert not list(tmp_path.iterdir())
    Distiller(folder / "bert", vocabulary="shared", **options).run(TEXTS, out=tmp_path / "out")
    before, after = (load_file(f / "model.safetensors") for f in (folder / "bert", tmp_path / "out"))
    words = (folder / "words" / "vocab.txt").read_text().split()
    assert (tmp_path / "out" / "vocab.txt").read_text().split() == words
    (old,), (new,) = (
        [a for k, a in arrays.items() if k.endswith(WORD_EMBEDDINGS)] for arrays in (before, after)
    )
    for number, word in enumerate(words):
        expected = old[WORDS.index(word)] if word in WORDS else old.mean(0)
        np.testing.assert_allclose(new[number], expected, atol=1e-6)


def test_a_student_that_there_is(folder: Path, tmp_path: Path) -> None:
    still = RECIPE.with_changes(learning_rate=1e-12, steps=1, held_out=0)
    begun = {"student": folder / "bert", "vocabulary": "shared", "recipe": still, "device": "cpu"}
    run = Distiller(folder / "roberta", **begun).run(TEXTS, out=tmp_path / "out")
    before, after = (load_file(f / "model.safetensors") for f in (folder / "bert", tmp_path / "out"))
    assert before.keys() == after.keys()
    assert all(np.allclose(before[key], after[key], atol=1e-6) for key in before)
    assert run.facts["student"]["model_type"] == "bert"


@pytest.mark.parametrize(
    ("teacher", "options", "said"),
    [
        ("roberta", {"layers": 2}, "--student DIR; or begin at random: --init random --tokenizer DIR"),
        ("roberta", {"layers": 2, "init": "random"}, "no tokenizer"),
        ("roberta", {"layers": 2, "tokenizer": "words"}, "init=None"),
        ("roberta", {"student": "bert"}, "--vocabulary shared"),
        ("bert", {}, "neither. Give --layers N, or --student DIR"),
        ("bert", {"student": "bert", "layers": 2}, "Leave the others out"),
        ("bert", {"student": "bert", "tokenizer": "words"}, "Leave the others out"),
        ("bert", {"layers": 2, "vocabulary": "joined"}, "vocabulary must be one of"),
        (
            "roberta",
            {"student": "bert", "vocabulary": "shared", "recipe": RECIPE.with_changes(relation_weight=1.0)},
            "Set relation_weight to 0",
        ),
    ],
)
def test_students_and_teachers_that_do_not_go_together(
    folder: Path, tmp_path: Path, teacher: str, options: dict, said: str
) -> None:
    named = {n: folder / v if n in ("student", "tokenizer") else v for n, v in options.items()}
    with pytest.raises(ConfigError, match=said):
        Distiller(folder / teacher, device="cpu", **{"recipe": RECIPE, **named}).run(
            TEXTS, out=tmp_path / "out"
        )
    assert not list(tmp_path.iterdir())


def test_folders_that_no_teacher_is_read_from(folder: Path, tmp_path: Path, monkeypatch) -> None:
    import transformers

    def refusal(place: Path, kind: type[Exception], said: str) -> None:
        with pytest.raises(kind, match=said):
            open_foreign_language_model(place, device=CPU)

    shutil.copytree(folder / "roberta", tmp_path / "pickled")
    arrays = load_file(tmp_path / "pickled" / "model.safetensors")
    torch.save(
        {k: torch.from_numpy(a) for k, a in arrays.items()}, tmp_path / "pickled" / "pytorch_model.bin"
    )
    (tmp_path / "pickled" / "model.safetensors").unlink()
    refusal(tmp_path / "pickled", CheckpointError, "safe_serialization=True")

    headless = write_foreign(tmp_path / "headless", "roberta")
    arrays = load_file(headless / "model.safetensors")
    kept = {key: array for key, array in arrays.items() if not key.startswith("lm_head")}
    save_file(kept, headless / "model.safetensors", metadata={"format": "pt"})

    class Heard(logging.Handler):
        said: ClassVar[list[str]] = []

        def emit(self, record: logging.LogRecord) -> None:
            self.said.append(record.getMessage())

    library = logging.getLogger("transformers")
    monkeypatch.setattr(library, "handlers", [Heard()])
    monkeypatch.setattr(library, "level", library.level)  # to be put back
    library.setLevel(logging.WARNING)  # whatever another test has asked of it
    refusal(headless, ConfigError, "masked-language-model head, trained.*lm_head")
    assert not Heard.said, "one sentence, and not the library's own beside it"
    transformers.AutoModelForMaskedLM.from_pretrained(headless)
    assert any("lm_head" in said for said in Heard.said), "outside it speaks as before"

    shutil.copytree(folder / "roberta", tmp_path / "causal")
    transformers.GPT2Config(vocab_size=400, n_embd=8, n_layer=1, n_head=1).save_pretrained(
        tmp_path / "causal"
    )
    refusal(tmp_path / "causal", ConfigError, "family gpt2, which has none")
    shutil.copytree(folder / "roberta", tmp_path / "wordless")
    (tmp_path / "wordless" / "tokenizer.json").write_text("{}")
    refusal(tmp_path / "wordless", CheckpointError, "a tokenizer that transformers reads")

    # Code that a folder brings along would leave a file behind.
    shutil.copytree(folder / "roberta", tmp_path / "own-code")
    marker = tmp_path / "ran"
    (tmp_path / "own-code" / "code.py").write_text(f"open({str(marker)!r}, 'w')\nclass Model: pass\n")
    config = read_json(tmp_path / "own-code" / "config.json")
    config |= {"auto_map": {"AutoConfig": "code.Model", "AutoModelForMaskedLM": "code.Model"}}
    for name in ("novel", "roberta"):
        (tmp_path / "own-code" / "config.json").write_text(json.dumps({**config, "model_type": name}))
        if name == "novel":
            refusal(tmp_path / "own-code", ConfigError, "model_type='novel'.*is not run")
        else:
            open_foreign_language_model(tmp_path / "own-code", device=CPU)
    assert not marker.exists()

    monkeypatch.setitem(sys.modules, "transformers", None)
    refusal(folder / "roberta", MissingExtraError, "pip install transformers")


def test_a_classifier_of_another_family_teaches(folder: Path, tmp_path: Path) -> None:
    """Each model tokenises the texts its own way, and labels are found by their names."""
    import transformers

    labels = ("sport", "food", "music")
    place = write_foreign(tmp_path / "judge", "roberta", labels=labels)
    teacher = open_classifier(place, device="cpu")
    assert isinstance(teacher, ForeignPredictor)
    texts = [*TEXTS[:9], " ".join(TEXTS[:9])]
    made = rows_of(teacher, texts)
    found = np.stack(teacher.item_logits(made, batch_size=4))
    peer = transformers.AutoModelForSequenceClassification.from_pretrained(place).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    with torch.no_grad():
        rows = [tokenizer(t, return_tensors="pt", truncation=True, max_length=38) for t in texts]
        expected = np.concatenate([peer(**row).logits.numpy() for row in rows])
    assert np.abs(found - expected).max() <= 1e-5
    assert np.count_nonzero(made.dropped) == 1, "RoBERTa's positions begin behind the padding's: 38 of 40"
    train = LabelledTexts(*sentences(40, seed=2))
    recipe = Finetuning(steps=2, batch_size=8, max_length=24, precision="fp32")
    finetuner = Finetuner(folder / "bert", teacher=place, recipe=recipe, device="cpu")
    objective = finetuner._prepare(train, TEXTS[:5], None, CPU).objective
    order = [labels.index(label) for label in sorted(SUBJECTS)]
    expected = np.stack(teacher.item_logits(rows_of(teacher, [*train.texts, *TEXTS[:5]])))
    np.testing.assert_allclose(np.stack(objective.taught), expected[:, order], atol=1e-5)
    assert not np.allclose(np.stack(objective.taught), expected, atol=1e-3)
    other = write_foreign(tmp_path / "other", "roberta", labels=("a", "b"))
    with pytest.raises(ConfigError, match="a teacher of a, b"):
        Finetuner(folder / "bert", teacher=other, recipe=recipe, device="cpu").run(
            train, out=tmp_path / "out"
        )


def test_the_commands(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    (tmp_path / "recipe.json").write_text(json.dumps({"min_length": 3, "max_length": 24}))
    command = (
        f"--teacher {folder}/roberta {folder}/bert --text {tmp_path}/texts.txt --student {folder}/bert "
        f"--recipe {tmp_path}/recipe.json --device cpu --quiet --json"
    )
    assert main(f"distill {command} --steps 2 --out {tmp_path}/out".split()) == 2
    assert "--vocabulary shared" in capsys.readouterr().err
    assert main(f"distill {command} --vocabulary shared --steps 2 --out {tmp_path}/out".split()) == 0
    assert [one["model_type"] for one in json.loads(capsys.readouterr().out)["teachers"]] == [
        "roberta",
        "bert",
    ]
    assert main(f"doctor {command} --vocabulary shared".split()) == 1
    assert "Teacher 1" in capsys.readouterr().out
