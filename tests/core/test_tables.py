"""Tables wherever they are: names of classes, folders, and data sets of a hub, which here is on loopback."""

import json
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback_hub import Hub, clients_hub, go_online
from small_files import write_table

from distilbert import errors, read_examples
from distilbert.cli.tables import read_unlabelled
from distilbert.core.data.hub_tables import JUDGED
from distilbert.core.tasks.reading import as_examples

ROWS = [{"sentence": "a film of rare charm", "label": 1}, {"sentence": "it is bad", "label": 0}]
NAMES = ("negative", "positive")


class Named:
    """As ``datasets`` has a feature of classes."""

    names = NAMES


class Listed:
    """As ``datasets`` has a list of them."""

    feature = Named()


class DataSet:
    """As much of a ``datasets`` object as is looked at."""

    def __init__(self, rows: list[dict[str, Any]], **features: Any) -> None:
        self.rows, self.features = rows, features

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)


def parquet(rows: list[dict[str, Any]], path: Path, *, noted: bool = True) -> Path:
    """A file as ``datasets`` writes it, the names of its classes in what it says of itself."""
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.Table.from_pylist(rows)
    features = {"sentence": {"dtype": "string", "_type": "Value"},
                "label": {"names": list(NAMES), "_type": "ClassLabel"}}  # fmt: skip
    if noted:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pyarrow.parquet.write_table(table, path)
    return path


def test_a_data_set_names_its_classes() -> None:
    examples = as_examples(DataSet(ROWS, label=Named(), sentence=object()))
    assert examples.columns["label"] == ["positive", "negative"]
    assert as_examples(DataSet(ROWS)).columns["label"] == ["1", "0"], "without names they are numbers"
    words = [{"tokens": ["rare", "charm"], "ner_tags": [0, 1]}]
    assert as_examples(DataSet(words, ner_tags=Listed())).columns["tags"] == [list(NAMES)]
    with pytest.raises(errors.DataError, match=r"None as label at line 1"):
        as_examples(DataSet([{"sentence": "unlabelled", "label": -1}], label=Named()))


def test_a_parquet_file_names_its_classes(tmp_path: Path) -> None:
    assert read_examples(parquet(ROWS, tmp_path / "a.parquet")).columns["label"] == ["positive", "negative"]
    bare = read_examples(parquet(ROWS, tmp_path / "b.parquet", noted=False))
    assert bare.columns["label"] == ["1", "0"]


def test_a_folder_of_tables(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", ["the ball", "the soup"], ["sport", "food"])
    write_table(tmp_path / "b.csv", ["the song"], ["music"])
    examples = read_examples(tmp_path)
    assert examples.columns == {
        "text": ["the ball", "the soup", "the song"],
        "label": ["sport", "food", "music"],
    }
    assert [examples.at(row) for row in (1, 2)] == [
        f"line 3 of {tmp_path / 'a.csv'}",
        f"line 2 of {tmp_path / 'b.csv'}",
    ]
    assert examples.take([2]).at(0) == f"line 2 of {tmp_path / 'b.csv'}"
    (tmp_path / "c.csv").write_text("text,label\n,food\n")
    with pytest.raises(errors.DataError, match=r"line 2 of \S*c\.csv"):
        read_examples(tmp_path)
    (tmp_path / "c.csv").write_text("text_a,text_b,label\none,other,food\n")
    with pytest.raises(errors.DataError, match=r"same columns.*a\.csv.*c\.csv"):
        read_examples(tmp_path)


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    for number, (label, text) in enumerate((("pos", "rare charm\nand more"), ("neg", "bad"), ("neg", "no"))):
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / label / f"{number}.txt").write_text(text)
    examples = read_examples(tmp_path)
    assert examples.columns == {
        "text": ["bad", "no", "rare charm\nand more"],
        "label": ["neg", "neg", "pos"],
    }
    (tmp_path / "pos" / "9.txt").write_text(" \n")
    with pytest.raises(errors.DataError, match=r"pos/9\.txt, which is empty"):
        read_examples(tmp_path)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with clients_hub(tmp_path / "cache", monkeypatch) as served:
        monkeypatch.chdir(tmp_path)
        files = {
            "sst2/train/0000.parquet": parquet(ROWS, tmp_path / "train").read_bytes(),
            "sst2/train/0001.parquet": parquet(ROWS[:1], tmp_path / "more").read_bytes(),
            "sst2/validation/0000.parquet": parquet(ROWS[1:], tmp_path / "judged").read_bytes(),
            "cola/train/0000.parquet": parquet(ROWS[::-1], tmp_path / "cola").read_bytes(),
        }
        served.add("datasets/nyu-mll/glue", files, branch="refs/convert/parquet")
        served.add("datasets/own-er/reviews", {
            "default/train/0000.parquet": parquet(ROWS, tmp_path / "own").read_bytes()
        }, branch="refs/convert/parquet")  # fmt: skip
        yield served


def test_data_sets_of_the_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    train = read_examples("glue/sst2")
    assert train.columns["label"] == ["positive", "negative", "positive"]
    assert train.at(2) == "line 1 of 0001.parquet of glue/sst2"
    assert [path for path in hub.fetched if "cola" in path] == [], "what is not asked for is not fetched"
    assert read_examples("glue/sst2", splits=JUDGED).columns["text"] == ["it is bad"]
    assert read_examples("nyu-mll/glue/sst2:validation").columns["text"] == ["it is bad"]
    assert len(read_examples("own-er/reviews")) == 2
    unlabelled = read_unlabelled(Namespace(unlabelled="own-er/reviews"), train)
    assert unlabelled.columns == {"text": read_examples("own-er/reviews").columns["text"]}
    with pytest.raises(errors.DataError, match=r"glue/sst2:test, of which there are cola:train, sst2:train"):
        read_examples("glue/sst2:test")
    with pytest.raises(errors.DataError, match=r"no file or folder of that name"):
        read_examples("own-er/others")
    go_online(monkeypatch, online=False)
    assert read_examples("glue/sst2") == train, "what was fetched once is kept"
    with pytest.raises(errors.DataError, match=r"glue/cola:train.*Choose one|must answer.*glue/cola"):
        read_examples("glue/cola:train")
    with pytest.raises(errors.DataError, match=r"must answer.*own-er/others.*Check the path, or go online"):
        read_examples("own-er/others")


def test_a_file_or_folder_here_goes_before_the_hub(hub: Hub) -> None:
    Path("own-er").mkdir()
    write_table(Path("own-er") / "reviews.csv", ["here", "and there"], ["a", "b"])
    Path("own-er/reviews.csv").rename("own-er/reviews")
    before = len(hub.log)
    with pytest.raises(errors.DataError, match=r"must end in"):
        read_examples("own-er/reviews")
    with pytest.raises(errors.DataError, match=r"must exist"):
        read_examples("own-er/absent.csv")
    assert len(hub.log) == before, "nobody was asked"
