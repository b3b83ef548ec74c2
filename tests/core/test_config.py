"""The configuration: published defaults, rules, and files that the peer reads and writes too."""

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from distilbert import BertConfig, DistilBertConfig
from distilbert.core.config import read_config
from distilbert.errors import CheckpointError, ConfigError


@pytest.mark.parametrize("kind", [DistilBertConfig, BertConfig])
def test_arguments_and_defaults_are_the_peers(kind: type) -> None:
    import transformers

    peer = getattr(transformers, kind.__name__)
    ours, theirs = inspect.signature(kind).parameters, inspect.signature(peer).parameters
    shared = [name for name in ours if name in theirs and name != "others"]
    assert shared == [name for name in theirs if name in ours], "in the published order"
    assert {name: ours[name].default for name in shared} == {n: theirs[n].default for n in shared}
    unknown = {"use_cache"} if kind is BertConfig else set()
    assert set(theirs) - set(ours) - {"kwargs"} == unknown  # a cache is a decoder's, kept where a file has it


def test_the_files_go_both_ways(tmp_path: Path) -> None:
    import transformers

    ours = DistilBertConfig(n_layers=2, dim=32, n_heads=4, id2label={0: "no", 1: "yes", 2: "who"}, mine=[1])
    ours.save_pretrained(tmp_path)
    theirs = transformers.DistilBertConfig.from_pretrained(tmp_path)
    assert (theirs.n_layers, theirs.dim, theirs.num_labels, theirs.mine) == (2, 32, 3, [1])
    assert theirs.id2label == ours.id2label
    theirs.save_pretrained(tmp_path)
    again = DistilBertConfig.from_pretrained(tmp_path)
    assert again.label2id == {"no": 0, "yes": 1, "who": 2}
    assert again.mine == [1], "keys of others are kept"
    assert DistilBertConfig.from_dict(json.loads(again.to_json_string())) == again


def test_every_name_of_a_field_reads_and_writes_it() -> None:
    config = DistilBertConfig(hidden_size=24, num_attention_heads=3, num_hidden_layers=1)
    assert (config.dim, config.n_heads, config.n_layers) == (24, 3, 1)
    config.hidden_size = 12
    assert config.dim == 12
    bert = BertConfig(n_layers=3)
    assert bert.num_hidden_layers == 3
    assert "n_layers" not in bert.to_dict()
    with pytest.raises(AttributeError, match="no field 'widht'"):
        config.widht  # noqa: B018  # the access is what is tested


def test_counting_labels_names_them_and_keeps_names() -> None:
    assert DistilBertConfig(num_labels=3).id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    named = DistilBertConfig(id2label={"0": "a", "1": "b"}, num_labels=2)
    assert named.id2label == {0: "a", 1: "b"}
    named.num_labels = 2
    assert named.id2label == {0: "a", 1: "b"}
    assert DistilBertConfig.from_dict(named.to_dict(), num_labels=4).num_labels == 4
    assert DistilBertConfig.from_dict({}, id2label={0: "x", 1: "y"}).label2id == {"x": 0, "y": 1}


def test_a_configuration_shares_nothing_with_another() -> None:
    first, second = DistilBertConfig(), DistilBertConfig()
    first.id2label[0] = "changed"
    assert second.id2label[0] == "LABEL_0"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dim", 0), ("dim", 2.5), ("dim", True), ("n_layers", -1), ("vocab_size", "many"),
        ("dropout", 1.5), ("dropout", float("nan")), ("activation", "gleu"), ("sinusoidal_pos_embds", 1),
        ("problem_type", "ranking"), ("id2label", ["a"]), ("layer_norm_eps", 1e-5), ("num_labels", 0),
    ],
)  # fmt: skip
def test_a_field_that_no_model_can_have(field: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"{field} must be .* Received: .*Set"):
        DistilBertConfig(**{field: value})
    config = DistilBertConfig()
    with pytest.raises(ConfigError):
        setattr(config, field, value)
    assert config == DistilBertConfig(), "a refused assignment changes nothing"


def test_rules_across_fields_wait_for_both() -> None:
    with pytest.raises(ConfigError) as refused:
        DistilBertConfig(n_heads=5)
    assert str(refused.value) == (
        "n_heads must divide dim. Received: n_heads=5, dim=768. Choose 1, 2, 3, 4, 6, 8 or 12."
    )
    with pytest.raises(ConfigError, match="num_attention_heads must divide hidden_size"):
        BertConfig(num_attention_heads=7)
    with pytest.raises(ConfigError, match="pad_token_id must be an id"):
        DistilBertConfig(vocab_size=5, pad_token_id=5)
    config = DistilBertConfig()
    config.dim = 100  # for a moment 12 heads do not divide it
    config.n_heads = 10
    config.check()


def test_a_callable_activation_cannot_be_saved(tmp_path: Path) -> None:
    config = DistilBertConfig(activation=abs)
    with pytest.raises(ConfigError, match="saved activation must be a published name"):
        config.save_pretrained(tmp_path)
    assert not list(tmp_path.iterdir())


def test_how_to_attend_is_not_written() -> None:
    assert "attn" not in DistilBertConfig(attn_implementation="eager").to_json_string()


@pytest.mark.parametrize(
    ("content", "error", "sentence"),
    [
        (None, CheckpointError, "must hold config.json"),
        (b"{", CheckpointError, "must be a JSON object in UTF-8"),
        (b"[1]", CheckpointError, "must be a JSON object"),
        (b"\xff{}", CheckpointError, "UTF-8"),
        (b"[" * 100_000, CheckpointError, "JSON object"),
        (b'{"model_type": "gpt2"}', ConfigError, "model_type must be one of distilbert, bert"),
        (b"{}", ConfigError, "model_type must be one of"),
        (b'{"model_type": "bert", "position_embedding_type": "relative_key"}', ConfigError, "absolute"),
    ],
)
def test_a_folder_whose_configuration_is_not_one(
    tmp_path: Path, content: bytes | None, error: type[Exception], sentence: str
) -> None:
    if content is not None:
        (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(error, match=sentence):
        read_config(tmp_path)


def test_the_wrong_class_for_a_folder_says_so(tmp_path: Path) -> None:
    BertConfig().save_pretrained(tmp_path)
    assert isinstance(read_config(tmp_path), BertConfig)
    with pytest.raises(ConfigError, match="model_type is distilbert. Received: model_type=bert"):
        DistilBertConfig.from_pretrained(tmp_path)


def test_several_fields_at_once(tmp_path: Path) -> None:
    config = DistilBertConfig()
    config.update({"dim": 32, "n_heads": 4})
    config.update_from_string("dropout=0.2,sinusoidal_pos_embds=true,activation=relu,n_layers=2")
    assert (config.dropout, config.sinusoidal_pos_embds, config.activation, config.n_layers) == (
        0.2,
        True,
        "relu",
        2,
    )
    for wrong in ("nosuch=1", "n_layers=many", "sinusoidal_pos_embds=perhaps"):
        with pytest.raises(ConfigError, match="name=value"):
            config.update_from_string(wrong)
    with pytest.raises(ConfigError, match="must divide"):
        config.update({"n_heads": 5})
    config.update({"n_heads": 4, "torch_dtype": "float16"})
    assert config.dtype == config.torch_dtype == "float16"
    assert config.get_text_config() is config
    config.to_json_file(tmp_path / "one.json")
    assert DistilBertConfig.from_json_file(tmp_path / "one.json") == config
    config.save_pretrained(tmp_path)
    content, others = DistilBertConfig.get_config_dict(tmp_path, revision="main", more=1)
    assert (content["dim"], others) == (32, {"more": 1})
    assert config.to_diff_dict() == config.to_dict()
    assert config.attribute_map["hidden_size"] == "dim"


@pytest.mark.parametrize(
    ("classes", "kind"),
    [
        (["BertForMaskedLM"], BertConfig),
        (["TFBertModel"], BertConfig),
        (["DistilBertForSequenceClassification"], DistilBertConfig),
        (["RobertaModel"], None),
        (["BertGenerationEncoder"], None),
    ],
)
def test_without_a_model_type_the_class_it_was_saved_from_tells(
    classes: list[str], kind: type | None, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": classes, "vocab_size": 40}))
    if kind is None:
        with pytest.raises(ConfigError, match=f"model_type must be one of .*{classes[0]}"):
            read_config(tmp_path)
    else:
        assert type(read_config(tmp_path)) is kind
    for asked in (BertConfig, DistilBertConfig):
        if asked is kind:
            assert asked.from_pretrained(tmp_path).vocab_size == 40
        else:
            with pytest.raises(ConfigError, match=f"reads models whose model_type is {asked.model_type}"):
                asked.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"vocab_size": 40}')
    assert BertConfig.from_pretrained(tmp_path).vocab_size == 40  # nothing is said, and the caller knows


def test_the_encoder_of_an_older_sentence_folder_is_pointed_to(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text('[{"path": "0_Transformer", "type": "a.Transformer"}]')
    with pytest.raises(CheckpointError, match="Give subfolder='0_Transformer'"):
        DistilBertConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize("deep", [[], {}])
def test_a_value_of_any_depth_and_length_is_refused_briefly(deep: Any) -> None:
    value: Any = deep
    for _ in range(5000):
        value = [value]
    for wrong in (value, "x" * 10**6, [1] * 10**6):
        with pytest.raises(ConfigError) as caught:
            DistilBertConfig(dim=wrong)
        assert len(str(caught.value)) < 400
