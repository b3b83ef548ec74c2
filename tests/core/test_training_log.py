"""What a run says of itself: speed, utilisation and perplexities, each by hand."""

import math

import pytest

from distilbert import DistilBertConfig
from distilbert.core import flops
from distilbert.core.perplexity import perplexities
from distilbert.core.training_log import TrainingLog

SMALL = DistilBertConfig(dim=4, hidden_dim=8, n_layers=2, n_heads=2, vocab_size=10)


def test_flops_by_hand() -> None:
    # A token: four products of 4 x 4 (128) and two of 4 x 8 (128). A text of S tokens: scores and context
    # take 2 * 4 * S * S each.
    block = 4 * 256 + 4 * 4 * (3 * 3 + 1 * 1)
    assert flops.of_blocks(SMALL, [3, 1]) == 2 * block
    # The last one's keys and values (64) of all, everything else (192) of two tokens, one row of scores.
    last = 4 * 64 + 2 * 192 + 4 * 4 * (3 + 1)
    assert flops.of_blocks(SMALL, [3, 1], first_only=True) == block + last
    assert flops.of_words(SMALL, 3) == 3 * 2 * (4 * 4 + 4 * 10)


@pytest.mark.parametrize(
    ("name", "tera"),
    [
        ("NVIDIA H200", 989), ("NVIDIA H100 80GB HBM3", 989), ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H100 NVL", 835), ("NVIDIA A100-SXM4-80GB", 312), ("NVIDIA L40S", 362), ("NVIDIA L40", 181),
        ("NVIDIA L4", 121), ("NVIDIA A10", 125), ("NVIDIA A10G", None), ("NVIDIA GeForce GTX 1080", None),
        ("", None),
    ],
)  # fmt: skip
def test_the_peak_of_a_device(name: str, tera: float | None) -> None:
    assert flops.peak(name) == (None if tera is None else tera * 1e12)


def log_of(**changes: object) -> TrainingLog:
    given = {
        "losses": {"masked_lm": [3.0, 2.0, 1.0], "cosine": [0.5, 0.4, 0.3], "total": [4.0, 3.0, 2.0]},
        "learning_rates": [1e-3] * 3, "seconds": [9.0, 2.0, 2.0], "tokens": [10, 100, 300],
        "flops": [1e12, 4e12, 6e12], "peak": 1e13,
    }  # fmt: skip
    return TrainingLog(**{**given, **changes})


def test_speed_and_utilisation_by_hand() -> None:
    """Without the first step, which pays for warming up; 10 TFLOP in 4 s of a peak of 10 TFLOP/s."""
    facts = log_of().facts()
    assert facts["tokens"] == 410
    assert facts["tokens_per_second"] == 100
    assert facts["mfu"] == 0.25
    assert log_of().now() == {
        "loss": 2.0, "masked_lm": 1.0, "cosine": 0.3, "tokens/s": pytest.approx(410 / 13),
        "MFU %": pytest.approx(100 * 11e12 / 13 / 1e13),
    }  # fmt: skip


def test_what_is_not_known_is_not_said() -> None:
    for log in (log_of(peak=None), log_of(flops=[0.0] * 3)):
        assert "mfu" not in log.facts()
        assert "MFU %" not in log.now()
    silent = log_of(tokens=[0, 0, 0])
    assert not {"tokens", "tokens_per_second", "mfu"} & set(silent.facts())
    assert set(log_of(losses={"labels": [1.0], "total": [1.0]}, tokens=[]).now()) == {"loss"}


def test_a_perplexity_is_that_of_its_mean() -> None:
    found = perplexities({"masked_lm": math.log(7.0), "masked_words": math.log(20.0), "accuracy": 0.5})
    assert found == {
        "masked_token_perplexity": pytest.approx(7.0), "masked_word_perplexity": pytest.approx(20.0)
    }  # fmt: skip
    assert math.isfinite(perplexities({"masked_lm": 1e9})["masked_token_perplexity"])
    assert math.isnan(perplexities({"masked_lm": math.nan})["masked_token_perplexity"])
    assert perplexities({"accuracy": 0.5}) == {}
