"""A target is read as it is meant, and what cannot be is refused in a sentence before anything is done."""

import pytest

from distilbert.compression.target import Target
from distilbert.core.tasks.regression import Regression
from distilbert.core.tasks.sequence_classification import SequenceClassification
from distilbert.errors import ConfigError, DataError


def test_a_line_of_terms() -> None:
    target = Target.parse(
        "agreement>=98%, P50 <= 5ms,size<=0.04GB and texts/s>=1000, memory<=200 , p99<=0.01s"
    )
    assert [(term.name, term.bound) for term in target.terms] == [
        ("agreement", 0.98), ("p50", 5.0), ("size", 40.0), ("texts/s", 1000.0), ("memory", 200.0),
        ("p99", 10.0),
    ]  # fmt: skip
    assert str(target).startswith("agreement>=0.98, p50<=5ms, size<=40MB")
    assert Target.parse(str(target)) == target


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "at least one term"),
        ("agreement", "a name, >= or <=, and a number"),
        ("loss<=0.1", "terms are agreement, accuracy"),
        ("agreement<=0.9", "nobody wants met"),
        ("p50>=5ms", "nobody wants met"),
        ("p50<=5ms, p50<=9ms", "one bound of a kind"),
        ("agreement>=1", "above 0 and below 1"),
        ("accuracy>=98", "above 0 and below 1"),
        ("size<=0MB", "above 0"),
        ("size<=40ms", "given in MB"),
        ("p50<=1.2.3ms", "above 0"),
    ],
)
def test_what_cannot_be_is_refused(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Target.parse(text)


def test_terms_of_another_task_are_refused() -> None:
    classes = SequenceClassification(("a", "b"))
    assert Target.parse("macro_f1>=0.9").fitting(classes, measured=False)
    with pytest.raises(
        ConfigError, match="Quality in sequence-classification is agreement, accuracy, macro_f1 or matthews"
    ):
        Target.parse("pearson>=0.9").fitting(classes, measured=True)
    assert Target.parse("pearson>=0.9, speedup>=3").fitting(Regression(), measured=True)
    with pytest.raises(ConfigError, match="over a teacher that is a model's folder here"):
        Target.parse("speedup>=3").fitting(classes, measured=False)


def test_how_many_rows_decide() -> None:
    """The rule of three: where none of n is a miss, the share of misses lies below 3/n."""
    assert Target.parse("agreement>=0.98").needed_rows() == 150
    assert Target.parse("agreement>=0.97, accuracy>=0.5").needed_rows() == 100
    assert Target.parse("size<=40MB").needed_rows() == 10
    target = Target.parse("agreement>=0.98")
    target.refuse_few(150, source="dev.csv")
    with pytest.raises(DataError, match=r"150 rows must be held out.*149 in dev.csv.*with 300 rows"):
        target.refuse_few(149, source="dev.csv")


def test_terms_that_contradict_each_other_beside_a_teacher() -> None:
    """Where it agrees on 98 of 100 it can be right on at most 2 more than its teacher."""
    target = Target.parse("agreement>=0.98, accuracy>=0.93")
    target.refuse_beyond({"accuracy": 0.911})
    with pytest.raises(ConfigError, match="at most 0.920 are possible"):
        target.refuse_beyond({"accuracy": 0.90})
    Target.parse("accuracy>=0.93").refuse_beyond({"accuracy": 0.5})


def test_what_is_met_and_by_how_much_it_is_not() -> None:
    agreement, p50 = Target.parse("agreement>=0.98, p50<=5ms").terms
    assert agreement.met(0.98)
    assert not agreement.met(0.9799)
    assert agreement.missed_by(0.96) == pytest.approx(1.0), "twice as many differ as may"
    assert p50.missed_by(10.0) == pytest.approx(1.0)
    assert p50.missed_by(4.0) == 0.0
    target = Target.parse("agreement>=0.98, p50<=5ms")
    assert target.unmet({"agreement": 0.99, "p50": 5.0}) == []
    assert [term.name for term in target.unmet({"agreement": 0.99})] == ["p50"], (
        "what is not known is not met"
    )
