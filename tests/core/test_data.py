"""Masks, sequences and batches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distilbert import DistilBertTokenizerFast
from distilbert.core.config import IGNORED_LABEL
from distilbert.core.data.collate import attention_mask, endless_batches, grouped_batches, pad
from distilbert.core.data.masking import Masking, sequence_rng, smoothed_weights
from distilbert.core.data.sequences import sequences
from distilbert.errors import DataError

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
    corpus = [np.full(1000, frequent, np.int32), np.full(10, rare, np.int32)]
    weights = smoothed_weights(corpus, vocab_size=1000, power=0.7)
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


def test_no_token_of_a_text_is_lost_to_length(minilm) -> None:
    tokenizer = DistilBertTokenizerFast.from_pretrained(minilm)
    text = " ".join(f"word{i} and more of it" for i in range(100))
    whole = tokenizer.encode(text)
    cut = sequences([text], tokenizer, max_length=32, min_length=3)
    assert all(len(r) <= 32 and (r[0], r[-1]) == (CLS, SEP) for r in cut.rows)
    assert [i for r in cut.rows for i in r[1:-1]] == whole[1:-1]


def test_short_and_unknown_sequences_are_left_out_and_counted(minilm) -> None:
    tokenizer = DistilBertTokenizerFast.from_pretrained(minilm)
    texts = ["Too short.", "\u2603 \u2604 \u2605 " * 9, "This one is long enough to be read by a model."]
    kept = sequences(texts, tokenizer, max_length=64, min_length=8)
    assert kept.facts() == {"texts": 3, "sequences": 1, "tokens": len(kept.rows[0]), "left_out": 2}
    with pytest.raises(DataError, match="2 texts, none of which gives one"):
        sequences(texts[:2], tokenizer, max_length=64, min_length=8)
