"""Published vectors: tricky texts, and the tokens, ids and decoded text of the published tokenizers."""

import json
from pathlib import Path

import pytest

from distilbert import DistilBertTokenizer, DistilBertTokenizerFast

#: Models whose vocabulary is one of those at hand.
VOCABULARIES = {
    "Xenova/bert-base-uncased": "bert-base-uncased",
    "Xenova/distilbert-base-uncased-finetuned-sst-2-english": "bert-base-uncased",
    "Xenova/bert-base-cased": "bert-base-cased",
    "google-bert/bert-base-cased": "bert-base-cased",
    "Xenova/distilbert-base-cased-distilled-squad": "bert-base-cased",
    "Xenova/bert-base-multilingual-cased-ner-hrl": "bert-base-multilingual-cased",
    "distilbert/distilbert-base-multilingual-cased": "bert-base-multilingual-cased",
}


@pytest.mark.parametrize("kind", [DistilBertTokenizer, DistilBertTokenizerFast])
@pytest.mark.parametrize("model", VOCABULARIES)
def test_published_vectors(model: str, kind: type, data_folder: Path) -> None:
    rows = json.loads((data_folder / "golden" / "tokenization_vectors.json").read_text("utf-8"))
    mine = [row for row in rows if row["model"] == model]
    assert mine
    tokenizer = kind.from_pretrained(data_folder / "vocab" / VOCABULARIES[model])
    for row in mine:
        batch = tokenizer(row["text"], row.get("text_pair"))
        assert batch["input_ids"] == row["ids"], row["name"]
        assert batch.tokens()[1:-1] == row["tokens"] or row.get("text_pair"), row["name"]
        assert tokenizer.decode(row["ids"]) == row["decoded"], row["name"]
