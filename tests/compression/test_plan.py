"""A budget is dealt out by hand-checked halves, and never beyond what there is."""

from pathlib import Path

import pytest
from small_files import sentences, write_teacher

from distilbert import BertConfig, DistilBertConfig, DistilBertTokenizerFast
from distilbert.compression.candidates import Beginnings, Shape, is_beaten, shapes
from distilbert.compression.halving import rank
from distilbert.compression.measuring import Figure
from distilbert.compression.plan import Plan, Row, budgeted
from distilbert.compression.target import Target
from distilbert.errors import ConfigError


def rows_of(count: int) -> list[Row]:
    sizes = {"size": Figure.exactly(10.0), "p50": Figure.exactly(1.0)}
    return [Row(Shape(layers, 32, "whole"), "onnx fp32", sizes) for layers in range(count, 0, -1)]


def pace_of(rows: list[Row], step: float = 0.1, around: float = 0.0) -> dict[str, tuple[float, float]]:
    return {row.shape.slug: (step, around) for row in rows}


def test_half_as_many_for_as_long() -> None:
    rows = rows_of(8)
    plan = budgeted(rows, pace_of(rows), budget=1000.0, spent=100.0, finishing=0.0)
    assert [rung.count for rung in plan.rungs] == [8, 4, 2]
    # Of the 900 s that are left 0.9 are used, a third in each rung, shared by its candidates.
    assert [set(rung.steps.values()) for rung in plan.rungs] == [{337}, {675}, {1350}]
    assert plan.expected_seconds <= 1000.0
    assert Plan.from_dict(plan.as_dict()) == plan


def test_where_there_is_no_time_for_all_the_larger_go_on() -> None:
    rows = rows_of(4)
    plan = budgeted(rows, pace_of(rows, around=10.0), budget=100.0, spent=0.0, finishing=5.0)
    assert [shape.layers for shape in plan.shapes] == [4, 3]
    assert "room for 2 of 4 candidates" in plan.rows[-1].dropped
    assert plan.expected_seconds <= 100.0


def test_a_budget_for_not_even_one_is_refused_with_what_it_takes() -> None:
    rows = rows_of(2)
    with pytest.raises(ConfigError, match=r"room for one candidate.*planning took 30 s.*Give --budget"):
        budgeted(rows, pace_of(rows, step=5.0), budget=60.0, spent=30.0, finishing=0.0)


def test_steps_have_an_end() -> None:
    rows = rows_of(2)
    plan = budgeted(rows, pace_of(rows), budget=1000.0, spent=0.0, finishing=0.0, most=5)
    assert [set(rung.steps.values()) for rung in plan.rungs] == [{5}, {5}]


def test_an_interval_of_turns_is_where_others_would_lie() -> None:
    """By hand: of ratios 1, 2, 4 the logarithms deviate by ln 2, times t of two degrees and sqrt(4/3)."""
    figure = Figure.of([1.0, 2.0, 4.0])
    assert figure.value == 2.0
    ratio = 2 ** (4.303 * (4 / 3) ** 0.5)
    assert (figure.low, figure.high) == (pytest.approx(2 / ratio), pytest.approx(2 * ratio))
    assert Figure.of([3.0, 3.0, 3.0]).high == pytest.approx(3.0)


def test_candidates_are_shares_of_their_model() -> None:
    config = DistilBertConfig(n_layers=6, n_heads=12, dim=384, hidden_dim=1536)
    found = shapes(config, trimmed=True)
    assert sorted({shape.layers for shape in found}) == [1, 2, 3, 4, 6]
    assert {shape.dim for shape in found} == {384, 192}
    assert {shape.vocabulary for shape in found} == {"whole", "trimmed"}
    odd = BertConfig(num_hidden_layers=2, num_attention_heads=3, hidden_size=30)
    assert {shape.dim for shape in shapes(odd, trimmed=False)} == {30}, "15 is no whole number of heads"
    with pytest.raises(ConfigError, match="nowhere smaller"):
        shapes(config, trimmed=False, layers=[7])


def test_a_whole_vocabulary_gives_way_to_the_trimmed_one() -> None:
    whole, trimmed, other = Shape(2, 32, "whole"), Shape(2, 32, "trimmed"), Shape(1, 32, "trimmed")
    assert is_beaten(whole, [whole, trimmed])
    assert not is_beaten(whole, [whole, other])
    assert not is_beaten(trimmed, [whole, trimmed])


def test_of_those_that_meet_the_smallest_else_the_nearest() -> None:
    target = Target.parse("agreement>=0.9, p50<=5ms")

    def ranked(agreement: float, size: float) -> tuple[float, float]:
        return rank({"agreement": Figure.exactly(agreement)}, size, target)

    assert ranked(0.91, 10.0) < ranked(0.99, 20.0)
    assert ranked(0.91, 10.0) < ranked(0.89, 1.0)
    assert ranked(0.89, 20.0) < ranked(0.85, 1.0)
    # With no term of quality whoever has more of the teacher.
    free = Target.parse("size<=40MB")
    assert rank({"agreement": Figure.exactly(0.9)}, 9.0, free) < rank(
        {"agreement": Figure.exactly(0.8)}, 1.0, free
    )


def test_a_trimmed_candidate_spells_every_word(tmp_path: Path) -> None:
    base = write_teacher(tmp_path / "bert")
    vocabulary = base / "vocab.txt"
    tokens = vocabulary.read_text().split("\n")[:-1]
    # Some of its words make way for letters, of which the texts use none.
    tokens[-6:] = ["z", "##z", "##q", "q", "zz", "##qq"]
    vocabulary.write_text("\n".join(tokens) + "\n")
    (base / "tokenizer.json").unlink(missing_ok=True)
    begun = Beginnings(base, sentences(5)[0], tmp_path / "work")
    small = DistilBertTokenizerFast.from_pretrained(begun.trimmed())
    assert begun.worth_trimming()
    assert {"z", "##z", "q", "##q"} <= set(small.get_vocab())
    assert not {"zz", "##qq"} & set(small.get_vocab())
    assert small.tokenize("zqz") == ["z", "##q", "##z"]
    shape = Shape(2, 16, "trimmed")
    config = DistilBertConfig.from_pretrained(begun.folder(shape))
    assert (config.n_layers, config.dim, config.vocab_size) == (2, 16, len(small))
