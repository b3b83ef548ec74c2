"""Masks, sequences and batches."""

from dataclasses import replace
from hashlib import blake2b

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distilbert.core.config import IGNORED_LABEL
from distilbert.core.data.collate import attention_mask, endless_batches, grouped_batches, pad
from distilbert.core.data.masking import (
    SPAN_LENGTHS,
    Masking,
    continuing_pieces,
    sequence_rng,
    smoothed_weights,
    span_lengths,
)
from distilbert.errors import ConfigError

CLS, SEP, PAD, UNK, MASK = 101, 102, 0, 100, 103
MASKING = Masking(vocab_size=1000, mask_token_id=MASK, special_ids=(CLS, SEP, PAD, UNK, MASK))


def row(length: int, seed: int = 0) -> np.ndarray:
    words = np.random.default_rng(seed).integers(200, 1000, length - 2)
    return np.array([CLS, *words, SEP], np.int32)


@given(st.integers(3, 80), st.integers(0, 1000))
def test_a_mask_hides_its_share_and_no_special_token(length: int, seed: int) -> None:
    ids = row(length, seed)
    before = ids.copy()
    hidden, labels = MASKING(ids, sequence_rng(0, 0, seed))
    chosen = labels != IGNORED_LABEL
    assert chosen.sum() == max(1, round(0.15 * (length - 2)))
    assert not chosen[[0, -1]].any()
    np.testing.assert_array_equal(labels[chosen], ids[chosen])
    np.testing.assert_array_equal(hidden[~chosen], ids[~chosen])
    np.testing.assert_array_equal(ids, before)


def test_of_the_chosen_eighty_percent_are_masked_ten_kept_ten_random() -> None:
    masked = kept = random = 0
    for i in range(400):
        ids = row(102, i)
        hidden, labels = MASKING(ids, sequence_rng(0, 0, i))
        chosen = labels != IGNORED_LABEL
        masked += (hidden[chosen] == MASK).sum()
        kept += (hidden[chosen] == ids[chosen]).sum()
        random += ((hidden[chosen] != MASK) & (hidden[chosen] != ids[chosen])).sum()
    total = masked + kept + random
    assert masked / total == pytest.approx(0.8, abs=0.02)
    assert kept / total == pytest.approx(0.1, abs=0.015)
    assert random / total == pytest.approx(0.1, abs=0.015)


def test_a_mask_depends_on_seed_epoch_and_sequence_alone() -> None:
    ids = row(60)
    once = MASKING(ids, sequence_rng(3, 1, 7))
    again = MASKING(ids, sequence_rng(3, 1, 7))
    np.testing.assert_array_equal(once, again)
    for other in ((4, 1, 7), (3, 2, 7), (3, 1, 8)):
        assert not np.array_equal(once[1], MASKING(ids, sequence_rng(*other))[1])


def test_nothing_to_hide() -> None:
    ids = np.array([CLS, SEP], np.int32)
    hidden, labels = MASKING(ids, sequence_rng(0, 0, 0))
    np.testing.assert_array_equal(hidden, ids)
    assert (labels == IGNORED_LABEL).all()


def test_rare_words_are_hidden_more_often_by_the_published_power() -> None:
    frequent, rare = 300, 400
    ids = np.array([CLS, *[frequent] * 50, *[rare] * 50, SEP], np.int32)
    seen = np.zeros(1000, np.int64)
    seen[[frequent, rare]] = 1000, 10
    weights = smoothed_weights(seen, power=0.7)
    assert weights[rare] / weights[frequent] == pytest.approx(100**0.7)
    masking = Masking(vocab_size=1000, mask_token_id=MASK, special_ids=(CLS, SEP), rate=0.1, weights=weights)
    counts = {frequent: 0, rare: 0}
    for i in range(300):
        labels = masking(ids, sequence_rng(0, 0, i))[1]
        for word in counts:
            counts[word] += int((labels == word).sum())
    # Without replacement the ratio shrinks a little as the rare words run out.
    assert 15 < counts[rare] / counts[frequent] < 30


@given(st.lists(st.integers(1, 60), min_size=1, max_size=200), st.integers(1, 17), st.integers(0, 9))
@settings(max_examples=50)
def test_an_epoch_holds_every_row_once(lengths: list[int], batch_size: int, seed: int) -> None:
    batches = grouped_batches(np.array(lengths), batch_size=batch_size, rng=np.random.default_rng(seed))
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert max(map(len, batches)) <= batch_size
    assert len(batches) <= -(-len(lengths) // batch_size)


def test_batches_are_of_similar_lengths_and_epochs_differ() -> None:
    lengths = np.random.default_rng(0).integers(5, 128, 2000)
    batches = endless_batches(lengths, batch_size=16, seed=0)
    first = [next(batches) for _ in range(125)]
    padding = 1 - lengths.sum() / sum(len(rows) * lengths[rows].max() for _, rows in first)
    assert padding < 0.06
    assert {epoch for epoch, _ in first} == {0}
    epoch, rows = next(batches)
    assert epoch == 1
    assert not np.array_equal(rows, first[0][1])


def test_padding_is_on_the_right_and_the_mask_knows_it() -> None:
    rows = [np.array([5, 6, 7], np.int32), np.array([8], np.int32)]
    np.testing.assert_array_equal(pad(rows, value=9), [[5, 6, 7], [8, 9, 9]])
    np.testing.assert_array_equal(attention_mask(rows), [[1, 1, 1], [1, 0, 0]])


#: Ids 200 to 599 begin words and 600 to 999 go on with them.
CONTINUES = np.arange(1000) >= 600
WHOLE = {
    "vocab_size": 1000,
    "mask_token_id": MASK,
    "special_ids": (CLS, SEP, UNK, MASK),
    "continues": CONTINUES,
}


def worded_row(length: int, seed: int, *, pieces: float = 0.4, specials: float = 0.05) -> np.ndarray:
    """A sequence of words of several pieces, with some unknown tokens between them."""
    rng = np.random.default_rng(seed)
    inner = np.where(
        rng.random(length - 2) < pieces,
        rng.integers(600, 1000, length - 2),
        rng.integers(200, 600, length - 2),
    )
    inner[rng.random(length - 2) < specials] = UNK
    return np.array([CLS, *inner, SEP], np.int32)


def words_of(ids: np.ndarray) -> list[list[int]]:
    """The places of each word's pieces, by the plain definition."""
    words: list[list[int]] = []
    for i, token in enumerate(ids.tolist()):
        if token in (CLS, SEP, UNK, MASK):
            continue
        if CONTINUES[token] and words and words[-1][-1] == i - 1:
            words[-1].append(i)
        else:
            words.append([i])
    return words


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("unit", ["word", "span"])
@given(st.integers(3, 120), st.integers(0, 10**6), st.sampled_from([0.05, 0.15, 0.6, 1.0]))
@settings(max_examples=150, deadline=None)
def test_words_are_hidden_whole_and_their_tokens_are_counted(
    unit: str, weighted: bool, length: int, seed: int, rate: float
) -> None:
    ids = worded_row(length, seed)
    weights = np.linspace(1, 2, 1000) if weighted else None
    masking = Masking(unit=unit, rate=rate, weights=weights, **WHOLE)
    hidden, labels = masking(ids, sequence_rng(0, 0, seed))
    chosen = labels != IGNORED_LABEL
    np.testing.assert_array_equal(labels[chosen], ids[chosen])
    np.testing.assert_array_equal(hidden[~chosen], ids[~chosen])
    words = words_of(ids)
    for word in words:
        assert chosen[word].all() or not chosen[word].any()
    total = sum(map(len, words))
    assert chosen.sum() == sum(int(chosen[word].sum()) for word in words)  # and nothing else
    assert masking.count_words(ids, labels) == sum(bool(chosen[word].all()) for word in words)
    if not words:
        return
    count = max(1, round(rate * total))
    left = [len(word) for word in words if not chosen[word].any()]
    shortest = min(map(len, words))
    if shortest > count:
        assert sum(chosen[word].all() for word in words) == 1
    else:
        assert chosen.sum() <= count
        assert all(chosen.sum() + size > count for size in left)  # no word fits any more


def test_single_tokens_do_halve_words() -> None:
    """The property above is no matter of course."""
    masking = Masking(unit="token", **WHOLE)
    halved = 0
    for seed in range(20):
        ids = worded_row(100, seed)
        chosen = masking(ids, sequence_rng(0, 0, seed))[1] != IGNORED_LABEL
        halved += sum(0 < chosen[word].sum() < len(word) for word in words_of(ids))
    assert halved > 50


def test_spans_are_as_long_as_published() -> None:
    assert len(SPAN_LENGTHS) == 10
    assert (SPAN_LENGTHS * np.arange(1, 11)).sum() == pytest.approx(3.8, abs=0.01)
    assert SPAN_LENGTHS[1] / SPAN_LENGTHS[0] == pytest.approx(0.8)
    # Words of one piece each: what is hidden in a row is a span, or several that touch.
    ids = np.array([CLS, *range(200, 400), SEP], np.int32)
    in_a_row = {}
    for unit in ("word", "span"):
        masking = Masking(unit=unit, rate=0.10, **WHOLE)
        runs = []
        for seed in range(300):
            places = np.flatnonzero(masking(ids, sequence_rng(1, 0, seed))[1] != IGNORED_LABEL)
            assert len(places) == 20
            runs += np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)
        in_a_row[unit] = np.mean([len(run) for run in runs])
    assert in_a_row["span"] > 3
    assert in_a_row["word"] < 1.3


def test_a_spans_first_length_is_drawn_from_the_published_distribution() -> None:
    """In a long sequence nothing stops the first span; every word has one piece."""
    from distilbert.core.data.masking import _some_spans

    found = np.zeros(11)
    for seed in range(5000):
        lengths = span_lengths(1, sequence_rng(2, 0, seed))
        part = _some_spans(np.array([50]), np.ones(100, int), 50, lengths, np.arange(100) == 99)
        found[(part == 0).sum()] += 1
    np.testing.assert_allclose(found[1:] / 5000, SPAN_LENGTHS, atol=0.02)


def test_a_span_stops_at_what_is_never_hidden() -> None:
    ids = np.array([CLS, *[300, UNK] * 20, SEP], np.int32)
    masking = Masking(unit="span", rate=0.5, mask_share=0.5, keep_share=0.0, **WHOLE)
    kinds = 0
    for seed in range(100):
        hidden, labels = masking(ids, sequence_rng(0, 0, seed))
        assert (hidden == UNK).sum() >= 20
        chosen = hidden[labels != IGNORED_LABEL]
        kinds += 0 < (chosen == MASK).sum() < len(chosen)
    assert kinds > 90  # each word is a span, with a fate of its own


def test_a_span_becomes_something_of_one_kind_and_a_words_pieces_do_not() -> None:
    ids = np.array([CLS, 300, *[700] * 9, SEP], np.int32)
    mixed = {}
    for unit in ("word", "span"):
        masking = Masking(unit=unit, mask_share=0.5, keep_share=0.0, **WHOLE)
        masked = [(masking(ids, sequence_rng(0, 0, seed))[0] == MASK).sum() for seed in range(200)]
        mixed[unit] = np.mean([0 < count < 10 for count in masked])
        assert 0.4 < np.mean(masked) / 10 < 0.6
    assert mixed["span"] == 0
    assert mixed["word"] > 0.95


@pytest.mark.parametrize("unit", ["word", "span"])
def test_rare_words_are_hidden_more_often_as_wholes_too(unit: str) -> None:
    ids = np.array([CLS, *[300, 700] * 30, *[400, 800] * 30, SEP], np.int32)
    weights = np.ones(1000)
    weights[[400, 800]] = 10
    masking = Masking(unit=unit, rate=0.02, weights=weights, **WHOLE)
    chosen = [ids[masking(ids, sequence_rng(0, 0, seed))[1] != IGNORED_LABEL] for seed in range(500)]
    assert all(sorted(pair) in ([300, 700], [400, 800]) for pair in chosen)
    assert np.mean([400 in pair for pair in chosen]) == pytest.approx(10 / 11, abs=0.04)


def test_single_tokens_are_drawn_as_ever() -> None:
    """A digest of a hundred masks as the first release drew them: a model can be trained again."""
    rng = np.random.default_rng(0)
    found = blake2b(digest_size=8)
    for weights in (None, np.linspace(1, 3, 1000)):
        masking = replace(MASKING, weights=weights)
        for i in range(50):
            ids = np.array([CLS, *rng.integers(200, 1000, rng.integers(3, 200)), SEP], np.int32)
            for array in masking(ids, sequence_rng(3, i % 4, i)):
                found.update(array.astype("<i4").tobytes())
    assert found.hexdigest() == "fc20987de1bdc135"


@pytest.mark.parametrize("unit", ["token", "word", "span"])
def test_every_unit_depends_on_seed_epoch_and_sequence_alone(unit: str) -> None:
    ids = worded_row(80, 1)
    masking = Masking(unit=unit, **WHOLE)
    once, again = (masking(ids, sequence_rng(3, 1, 7)) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    others = [masking(ids, sequence_rng(*key))[1] for key in ((4, 1, 7), (3, 2, 7), (3, 1, 8))]
    assert not any(np.array_equal(once[1], other) for other in others)


def test_masking_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ConfigError, match="one of token, word, span. Received: unit='sentence'"):
        Masking(unit="sentence", **WHOLE)
    with pytest.raises(ConfigError, match="Received: unit='word' without continues"):
        Masking(unit="word", **{**WHOLE, "continues": None})


def test_pieces_are_known_by_their_prefix() -> None:
    found = continuing_pieces({"a": 0, "##b": 3, "#c": 2, "##": 5}, vocab_size=4)
    assert np.flatnonzero(found).tolist() == [3, 5]
    assert len(continuing_pieces({"a": 0}, vocab_size=4)) == 4
