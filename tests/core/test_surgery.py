"""Cutting a student out of a teacher."""

from pathlib import Path

import numpy as np
import pytest
import torch
from models import TEACHER, batch, scatter
from small_files import sentences, write_teacher

from distilbert import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertModel,
    DistilBertTokenizerFast,
    shrink,
    trim,
)
from distilbert.core.files import read_json
from distilbert.core.layers import choose_layers
from distilbert.core.parameters import Head, manifest
from distilbert.core.students import StudentShape
from distilbert.core.surgery import cut, student_arrays, student_config
from distilbert.errors import ConfigError


@pytest.mark.parametrize("layers", [(), (0, 4), (-1,)])
def test_layers_that_there_are_not(layers: tuple[int, ...]) -> None:
    teacher = BertForMaskedLM(TEACHER)
    with pytest.raises(ConfigError, match="among the teacher's, 0 to 3"):
        cut(TEACHER, teacher.arrays(), layers)


def student_of(teacher: torch.nn.Module, layers: tuple[int, ...]) -> DistilBertForMaskedLM:
    student = DistilBertForMaskedLM(student_config(teacher.config, layers=layers))
    student.assign(cut(teacher.config, teacher.arrays(), layers))
    return student.eval()


def test_the_students_embeddings_are_the_teachers() -> None:
    teacher = scatter(BertForMaskedLM(TEACHER))
    student = student_of(teacher, (1, 3))
    input_ids, _ = batch(TEACHER)
    with torch.no_grad():
        ours, theirs = (
            student.distilbert.embeddings(student.distilbert.batch(input_ids)),
            teacher.bert.embeddings(teacher.bert.batch(input_ids)),
        )
        assert float((ours - theirs).abs().max()) <= 1e-6
        # Dropping the token types, as the published student does, is not the same.
        dropped = student_of(teacher, (1, 3))
        positions = teacher.bert.embeddings.position_embeddings.weight
        dropped.distilbert.embeddings.position_embeddings.weight.copy_(positions)
        assert (
            float((dropped.distilbert.embeddings(dropped.distilbert.batch(input_ids)) - theirs).abs().max())
            > 1e-2
        )


def test_all_layers_are_the_whole_teacher_on_single_texts() -> None:
    teacher = scatter(BertForMaskedLM(TEACHER))
    student = student_of(teacher, (0, 1, 2, 3))
    input_ids, mask = batch(TEACHER)
    with torch.no_grad():
        ours, theirs = student(input_ids, mask).logits, teacher(input_ids, mask).logits
    assert float((ours - theirs)[mask.bool()].abs().max()) <= 1e-5


def test_each_layer_is_the_one_that_was_named() -> None:
    teacher = scatter(BertForMaskedLM(TEACHER))
    student = student_of(teacher, (3, 0))
    for mine, theirs in ((0, 3), (1, 0)):
        ours = student.distilbert.transformer.layer[mine].state_dict()
        for name, tensor in teacher.bert.transformer.layer[theirs].state_dict().items():
            assert torch.equal(ours[name], tensor), name
    assert torch.equal(student.vocab_transform.weight, teacher.vocab_transform.weight)
    assert student.vocab_projector.weight is student.distilbert.embeddings.word_embeddings.weight


def test_a_distilbert_can_be_a_teacher_too() -> None:
    config = DistilBertConfig(
        vocab_size=60, max_position_embeddings=24, n_layers=2, n_heads=4, dim=32, hidden_dim=64,
        tie_word_embeddings=False,
    )  # fmt: skip
    teacher = scatter(DistilBertForMaskedLM(config))
    student = student_of(teacher, (0, 1))
    input_ids, mask = batch(config)
    with torch.no_grad():
        assert torch.equal(student(input_ids, mask).logits, teacher(input_ids, mask).logits)


def test_the_teacher_is_not_changed() -> None:
    teacher = scatter(BertForMaskedLM(TEACHER))
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    student = student_of(teacher, (0, 2))
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.zero_()
    for name, tensor in teacher.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_shrink_writes_a_folder_that_the_peer_reads(tmp_path: Path, minilm: Path) -> None:
    import transformers

    with pytest.raises(ConfigError, match=r"must have a masked-language-model head.*distilbert pretrain"):
        shrink(minilm, layers=3, out=tmp_path / "student")
    BertForMaskedLM.from_pretrained(minilm).save_pretrained(tmp_path / "teacher")
    DistilBertTokenizerFast.from_pretrained(minilm).save_pretrained(tmp_path / "teacher")
    config = shrink(tmp_path / "teacher", layers=3, out=tmp_path / "student")
    assert config.n_layers == 3
    peer, report = transformers.DistilBertForMaskedLM.from_pretrained(
        tmp_path / "student", output_loading_info=True
    )
    assert not any(report.values())
    ours = DistilBertForMaskedLM.from_pretrained(tmp_path / "student")
    tokens = transformers.AutoTokenizer.from_pretrained(tmp_path / "student")(
        ["Half the layers.", "All of the [MASK]."], padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        mine, theirs = ours(**tokens).logits, peer(**tokens).logits
    assert float((mine - theirs)[tokens["attention_mask"].bool()].abs().max()) <= 1e-5

    teacher = BertModel.from_pretrained(minilm)
    student = DistilBertModel.from_pretrained(tmp_path / "student")
    with torch.no_grad():
        folded = student.embeddings(student.batch(tokens["input_ids"]))
        whole = teacher.embeddings(teacher.batch(tokens["input_ids"]))
    assert float((folded - whole).abs().max()) <= 1e-6


def begun(teacher: torch.nn.Module, shape: StudentShape, init: str | None = None, **more: object):
    """A student as it begins."""
    plan = shape.plan(teacher.config, init=init)
    student = DistilBertForMaskedLM(plan.config)
    rng = np.random.default_rng(0)
    student.assign(student_arrays(teacher.config, teacher.arrays(), plan, rng=rng, **more))
    return student.eval()


def test_a_student_deeper_than_its_teacher_has_layers_twice() -> None:
    teacher = scatter(BertForMaskedLM(TEACHER))
    layers = (0, 0, 1, 1, 2, 2, 3, 3)
    student = begun(teacher, StudentShape(layers))
    for mine, theirs in enumerate(layers):
        ours = student.distilbert.transformer.layer[mine].state_dict()
        for name, tensor in teacher.bert.transformer.layer[theirs].state_dict().items():
            assert torch.equal(ours[name], tensor), name
    input_ids, mask = batch(TEACHER)
    with torch.no_grad():
        again = student_of(teacher, layers)(input_ids, mask).logits
        assert torch.equal(student(input_ids, mask).logits, again)
        assert float((student_of(teacher, (0, 1, 2, 3))(input_ids, mask).logits - again).abs().max()) > 1e-2


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("init", ["slice", "pca"])
def test_a_narrower_student_embeds_a_part_of_what_its_teacher_embeds(init: str, tied: bool) -> None:
    """Token types are folded before anything is narrowed, so that the sums are cut as their parts are."""
    config = BertConfig.from_dict({**TEACHER.to_dict(), "tie_word_embeddings": tied})
    teacher = scatter(BertForMaskedLM(config))
    student = begun(teacher, StudentShape((1, 3), dim=16, positions=20), init)
    table = teacher.bert.embeddings
    whole = table.word_embeddings.weight[:20] + table.position_embeddings.weight[:20]
    folded = (whole + table.token_type_embeddings.weight[0]).detach()
    cut = student.distilbert.embeddings
    ours = (cut.word_embeddings.weight[:20] + cut.position_embeddings.weight).detach()
    # The tables say what leads from the one to the other: columns of a basis, or of the identity.
    with torch.no_grad():
        basis = torch.linalg.lstsq(table.word_embeddings.weight, cut.word_embeddings.weight).solution
        assert float((basis.T @ basis - torch.eye(16)).abs().max()) <= 1e-4
        assert float((folded @ basis - ours).abs().max()) <= 1e-4
        assert float((whole @ basis - ours).abs().max()) > 1e-2
    columns = (basis.abs() > 1e-4).sum(0)
    assert (columns == 1).all() if init == "slice" else (columns > 8).all()
    assert (student.vocab_projector.weight is cut.word_embeddings.weight) == tied


def test_arrays_are_those_of_the_plan_and_of_the_generator() -> None:
    teacher = scatter(BertForMaskedLM(TEACHER))
    arrays = teacher.arrays()
    seen = np.random.default_rng(2).standard_normal((40, 32))
    for init in ("layers", "slice", "pca", "random"):
        sizes = {} if init == "layers" else {"dim": 24, "n_heads": 3, "hidden_dim": 40}
        plan = StudentShape(3, positions=10, **sizes).plan(TEACHER, init=init)
        first, again, other, given, also_given = (
            student_arrays(TEACHER, arrays, plan, rng=np.random.default_rng(seed), states=states)
            for seed, states in ((0, None), (0, None), (1, None), (0, seen), (1, seen))
        )
        wanted = {p.key: p.shape for p in manifest(plan.config, Head.MASKED_LM) if not p.tied_to}
        assert {key: array.shape for key, array in first.items()} == wanted
        for key, array in first.items():
            np.testing.assert_array_equal(array, again[key])

        def same(one: dict[str, np.ndarray], another: dict[str, np.ndarray]) -> bool:
            return all(np.array_equal(array, another[key]) for key, array in one.items())

        # A generator draws a student, or the sample that a narrower one is cut by where no states are given.
        assert same(first, other) == (init == "layers")
        assert same(given, also_given) == (init != "random")
        assert same(first, given) == (init in ("layers", "random"))


@pytest.mark.parametrize(
    "options",
    [
        {"layers": 2, "take": "last", "positions": 16},
        {"layers": (0, 1, 1, 2, 3), "dim": 16},
        {"layers": 3, "take": "first", "dim": 24, "n_heads": 3, "hidden_dim": 30, "init": "pca"},
        {"layers": 2, "hidden_dim": 20, "init": "slice"},
        {"layers": 6, "dim": 48, "n_heads": 2, "hidden_dim": 100, "positions": 64, "init": "random"},
    ],
    ids=str,
)
def test_shrink_writes_students_of_any_shape(options: dict[str, object], tmp_path: Path) -> None:
    import transformers

    write_teacher(tmp_path / "teacher")
    config = shrink(tmp_path / "teacher", **options, out=tmp_path / "student")
    sizes = {"dim": 32, "hidden_dim": 48, "n_heads": 4, "max_position_embeddings": 32}
    for name, usual in sizes.items():
        asked = options.get("positions" if name == "max_position_embeddings" else name)
        if asked is not None or "dim" not in options:
            assert getattr(config, name) == (asked or usual)
    facts = read_json(tmp_path / "student" / "distilbert.json")
    layers = options["layers"]
    if options.get("init") == "random":
        assert facts["teacher_layers"] == []
        assert config.n_layers == layers
    else:
        assert tuple(facts["teacher_layers"]) == choose_layers(layers, of=4, take=options.get("take"))
        assert config.n_layers == len(facts["teacher_layers"])
    assert facts["init"] == options.get("init", "pca" if "dim" in options else "layers")
    peer, report = transformers.DistilBertForMaskedLM.from_pretrained(
        tmp_path / "student", output_loading_info=True
    )
    assert not any(report.values())
    ours = DistilBertForMaskedLM.from_pretrained(tmp_path / "student")
    tokenizer = DistilBertTokenizerFast.from_pretrained(tmp_path / "student")
    assert tokenizer.model_max_length == min(32, config.max_position_embeddings)
    tokens = tokenizer(["the soup " * 20, "a [MASK]"], padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        mine, theirs = ours(**tokens).logits, peer(**tokens).logits
    assert float((mine - theirs)[tokens["attention_mask"].bool()].abs().max()) <= 1e-5


def test_shrink_draws_by_its_seed(tmp_path: Path) -> None:
    write_teacher(tmp_path / "teacher")
    tables = []
    for seed in (0, 0, 1):
        shrink(tmp_path / "teacher", layers=1, init="random", seed=seed, out=tmp_path / "student", force=True)
        tables.append(DistilBertModel.from_pretrained(tmp_path / "student").embeddings.word_embeddings.weight)
    assert torch.equal(tables[0], tables[1])
    assert not torch.equal(tables[0], tables[2])
    with pytest.raises(ConfigError, match="seed must be a whole number"):
        shrink(tmp_path / "teacher", layers=1, init="random", seed=-1, out=tmp_path / "other")


def test_shrink_looks_at_the_first_texts(tmp_path: Path) -> None:
    write_teacher(tmp_path / "teacher")
    texts, _ = sentences(40)
    tables = {}
    for name, given in {"all": texts, "first": iter(texts[:16]), "others": texts[16:], "none": ()}.items():
        shrink(tmp_path / "teacher", layers=2, dim=16, texts=given, out=tmp_path / name)
        tables[name] = DistilBertModel.from_pretrained(tmp_path / name).embeddings.word_embeddings.weight
    assert torch.equal(tables["all"], tables["first"])
    assert not torch.equal(tables["all"], tables["others"])
    assert not torch.equal(tables["all"], tables["none"])
    # The states are the teacher's own, as the other wing computes them.
    tokenizer = DistilBertTokenizerFast.from_pretrained(tmp_path / "teacher")
    teacher = BertForMaskedLM.from_pretrained(tmp_path / "teacher")
    rows = tokenizer(texts[:16], padding=True, return_tensors="pt")
    with torch.no_grad():
        seen = teacher(**rows, output_hidden_states=True).hidden_states
    states = torch.stack(seen)[:, rows["attention_mask"].bool()].numpy()
    again = begun(teacher, StudentShape(2, dim=16), states=states)
    difference = again.distilbert.embeddings.word_embeddings.weight - tables["all"]
    assert float(difference.detach().abs().max()) <= 1e-4


def test_a_vocabulary_is_cut_before_or_after(tmp_path: Path) -> None:
    """A student of fewer words is cut from a teacher of fewer words, which says the same on its texts."""
    write_teacher(tmp_path / "teacher")
    texts = ["soup cheese dinner", "ball goal", "the soup"]
    for first, second in (("trim", "shrink"), ("shrink", "trim")):
        place = tmp_path / "teacher"
        for step in (first, second):
            out = tmp_path / f"{first}-{step}"
            if step == "trim":
                trim(place, texts, out=out)
            else:
                shrink(place, layers=(0, 2), out=out)
            place = out
    before, after = (tmp_path / name for name in ("trim-shrink", "shrink-trim"))
    ours, theirs = (DistilBertForMaskedLM.from_pretrained(place) for place in (before, after))
    assert ours.config.vocab_size == theirs.config.vocab_size < 40
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[name]), name
    tokens = [DistilBertTokenizerFast.from_pretrained(place)(texts).input_ids for place in (before, after)]
    assert tokens[0] == tokens[1]
