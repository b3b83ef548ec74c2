"""What of a model learns, and how fast: frozen layers, rates by depth, adapters, weights of labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_files import sentences, write_teacher
from tiny import ragged, tiny

from distilbert import BertForSequenceClassification, Finetuner, Finetuning, LabelledTexts
from distilbert.core.data.token_rows import Array
from distilbert.core.layer_rates import frozen, rate_factor
from distilbert.core.tasks.class_weights import balanced
from distilbert.core.tasks.multi_label_classification import MultiLabelClassification
from distilbert.core.tasks.regression import Regression
from distilbert.core.tasks.sequence_classification import SequenceClassification
from distilbert.errors import ConfigError
from distilbert.torch.adapters import adapt, has_adapters, merged
from distilbert.torch.losses import binary_sum, cross_entropy_sum
from distilbert.torch.train import _optimiser

RECIPE = Finetuning(steps=3, batch_size=8, learning_rate=1e-2, precision="fp32", dropout=0.0, eval_share=0)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "bert"
    write_teacher(folder)
    return folder


def weights(folder: Path) -> dict[str, Array]:
    from distilbert.torch.predictor import Predictor

    return Predictor.open(folder, device="cpu").model.arrays()


def encoder(folder: Path) -> dict[str, Array]:
    arrays = BertForSequenceClassification.from_pretrained(folder).arrays()
    return {key: array for key, array in arrays.items() if "pooler" not in key and "classifier" not in key}


def trained(teacher: Path, out: Path, **changes: Any) -> Any:
    torch.set_num_threads(1)
    return Finetuner(teacher, recipe=RECIPE.with_changes(**changes), device="cpu").run(
        LabelledTexts(*sentences(24, seed=1)), out=out
    )


def test_frozen_layers_stay_bit_for_bit_and_the_others_learn(teacher: Path, tmp_path: Path) -> None:
    trained(teacher, tmp_path / "after", freeze="1")
    before, after = encoder(teacher), weights(tmp_path / "after")
    still = [key for key in before if "embeddings" in key or ".layer.0." in key]
    moving = [key for key in before if key not in still and not key.endswith("k_lin.bias")]
    assert len(still) > 15
    assert any(".layer.1." in key for key in moving)
    assert all(np.array_equal(before[key], after[key]) for key in still)
    assert all(not np.array_equal(before[key], after[key]) for key in moving)


def test_which_keys_are_frozen() -> None:
    model = tiny("DistilBertForSequenceClassification")
    keys = [name for name, _ in model.named_parameters()]
    assert frozen(keys, model.config, freeze="none") == []
    assert all("embeddings" in key for key in frozen(keys, model.config, freeze="embeddings"))
    assert frozen(keys, model.config, freeze="0") == frozen(keys, model.config, freeze="embeddings")
    left = set(keys) - set(frozen(keys, model.config, freeze="2"))
    assert {key.split(".")[0] for key in left} == {"pre_classifier", "classifier"}
    with pytest.raises(ConfigError, match="freeze=3, and a model of 2 layers"):
        frozen(keys, model.config, freeze="3")
    for wrong in ("head", "-1", 1.5, True):
        with pytest.raises(ConfigError, match="freeze must be none, embeddings, or a number"):
            Finetuning(freeze=wrong)


def test_rates_fall_from_the_head_down() -> None:
    """By hand: head 1, block 1 a half, block 0 a quarter, embeddings an eighth; new weights ten times."""
    model = tiny("DistilBertForSequenceClassification")

    class Given:
        extra = torch.nn.Module()

        def __init__(self) -> None:
            self.model = model

    recipe = RECIPE.with_changes(layer_rate_decay=0.5, learning_rate=0.1, new_weights_rate=10.0)
    optimiser = _optimiser(Given(), recipe, ("classifier.weight",))
    rate_of = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    by_name = {name: rate_of[id(p)] for name, p in model.named_parameters()}
    expected = {"pre_classifier": 0.1, ".layer.1.": 0.05, ".layer.0.": 0.025, ".embeddings.": 0.0125}
    for part, rate in expected.items():
        found = {name: r for name, r in by_name.items() if part in name}
        assert found
        assert all(r == pytest.approx(rate) for r in found.values())
    assert by_name["classifier.weight"] == pytest.approx(1.0)
    assert by_name["classifier.bias"] == pytest.approx(0.1)
    # The wrong way round, from the embeddings up, gives the head the least.
    assert rate_factor("classifier.weight", model.config, decay=0.5) == 1.0


def adapted(**changes: Any) -> Any:
    torch.manual_seed(0)
    model = tiny("DistilBertForSequenceClassification")
    adapt(model, Finetuning(lora_rank=4, **changes))
    return model


def scattered(model: Any) -> Any:
    """Adapters that add something."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(0.0, 0.3)
    return model


@pytest.mark.parametrize("at", ["attention", "all"])
def test_adapters_added_to_the_weights_give_the_same(at: str) -> None:
    ids, mask = ragged("DistilBertForSequenceClassification", 3, 9)
    plain = tiny("DistilBertForSequenceClassification").eval()
    beside = scattered(adapted(lora_at=at)).eval()
    whole = merged(beside)
    with torch.no_grad():
        logits = [model(ids, mask).logits for model in (plain, beside, whole)]
    assert not has_adapters(whole)
    assert has_adapters(beside)
    assert torch.allclose(logits[1], logits[2], atol=1e-5)
    assert not torch.allclose(logits[0], logits[1], atol=1e-3), "the adapters add something"
    assert set(whole.arrays()) == set(plain.arrays())
    count = sum("lora_A" in name for name, _ in beside.named_parameters())
    assert count == {"attention": 8, "all": 12}[at]


def test_adapters_begin_as_nothing_and_alone_learn_with_the_head() -> None:
    model = adapted(freeze="none")
    plain = tiny("DistilBertForSequenceClassification")
    before, after = plain.arrays(), merged(model).arrays()
    assert all(np.array_equal(before[key], after[key]) for key in before)
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert all("lora_" in name or "classifier" in name for name in learning)
    assert {"pre_classifier.weight", "classifier.bias"} <= learning


def test_a_model_with_adapters_is_saved_as_any_other(teacher: Path, tmp_path: Path) -> None:
    """What is not beside an adapter is the base's; what is has a difference of the adapters' rank."""
    run = trained(teacher, tmp_path / "adapted", lora_rank=2, lora_at="attention")
    before, after = encoder(teacher), weights(tmp_path / "adapted")
    assert run.facts["parameters"] == sum(array.size for array in after.values())
    difference = {key: after[key] - before[key] for key in before}
    beside = {key for key, array in difference.items() if array.any()}
    assert beside
    assert all("attention" in key and key.endswith("weight") for key in beside)
    for key in beside:
        singular = np.linalg.svd(difference[key], compute_uv=False)
        assert singular[2] < 1e-4 * singular[0] < singular[1]


def test_adapters_need_a_layer() -> None:
    model = tiny("DistilBertForSequenceClassification")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("classifier" in name)
    with pytest.raises(ConfigError, match="a layer that is not frozen"):
        adapt(model, Finetuning(lora_rank=4))


def test_weights_of_labels_are_scikit_learns() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.array([0] * 6 + [1] * 3 + [2])
    task = SequenceClassification(("a", "b", "c"))
    found = balanced(task, list(labels))
    assert np.allclose(found, compute_class_weight("balanced", classes=np.arange(3), y=labels))
    # Each label's answers count as much as another's, which they do not without.
    assert np.allclose(found * np.bincount(labels), 10 / 3)
    several = MultiLabelClassification(("a", "b"))
    truth = [np.array(row, np.float32) for row in ([1, 1], [0, 1], [0, 1], [0, 1])]
    assert np.allclose(balanced(several, truth), [3, 1])
    with pytest.raises(ConfigError, match="Only labels can be weighted"):
        balanced(Regression(), [np.zeros(1, np.float32)])


def test_a_weighted_loss_is_the_frameworks() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(7, 3), torch.tensor([0, 0, 0, 0, 1, 2, -100])
    weights = torch.tensor([1.0, 3, 2])
    counted = weights[labels[:-1]].sum()
    mean = torch.nn.functional.cross_entropy(logits, labels, weights)
    assert torch.allclose(cross_entropy_sum(logits, labels, weights) / counted, mean)
    assert not torch.allclose(cross_entropy_sum(logits, labels) / 6, mean, atol=1e-2)
    truth = torch.tensor([[1.0, 0, 1], [0, float("nan"), 1]])
    each = binary_sum(logits[:1], truth[:1], weights)
    of = torch.nn.BCEWithLogitsLoss(pos_weight=weights)
    assert torch.allclose(each, of(logits[:1], truth[:1]))
    assert torch.isfinite(binary_sum(logits[:2], truth, weights))
