"""Cutting a student out of a teacher."""

from pathlib import Path

import numpy as np
import pytest
import torch
from models import TEACHER, batch, scatter

from distilbert import (
    BertForMaskedLM,
    BertModel,
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertModel,
    DistilBertTokenizerFast,
    shrink,
)
from distilbert.core.surgery import choose_layers, cut, student_config
from distilbert.errors import ConfigError


def test_the_published_layers() -> None:
    assert choose_layers(6, of=12) == (0, 2, 4, 7, 9, 11)


@pytest.mark.parametrize("of", range(1, 25))
def test_chosen_layers_are_in_order_and_hold_both_ends(of: int) -> None:
    for count in range(1, of + 1):
        layers = choose_layers(count, of=of)
        assert len(layers) == count
        assert list(layers) == sorted(set(layers))
        assert layers[0] == 0
        assert count == 1 or layers[-1] == of - 1
        gaps = np.diff(layers)
        assert count < 3 or gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize("count", [0, 7])
def test_more_layers_than_the_teacher_has(count: int) -> None:
    with pytest.raises(ConfigError, match=f"{count} layers from a teacher of 6. Choose from 1 to 6"):
        choose_layers(count, of=6)


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
