"""Our models under accelerate: prepared, trained, saved, built without memory, and offloaded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import accelerate
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from tiny import CLASSES, answers, ragged, tiny, tiny_config

import distilbert

#: Weights that lie elsewhere in memory may be multiplied by another kernel, which sums in another order.
ATOL = 1e-6


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    """What one test chooses is accelerate's for the whole process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def step(model: Any, optimiser: Any, backward: Any, name: str) -> torch.Tensor:
    input_ids, mask = ragged(name, 4, 9)
    loss = model(input_ids, attention_mask=mask, **answers(name, input_ids)).loss
    backward(loss)
    optimiser.step()
    optimiser.zero_grad()
    return loss.detach()


@pytest.mark.parametrize("name", CLASSES[1:])
def test_a_prepared_model_trains_as_one_that_is_not(name: str, tmp_path: Path) -> None:
    accelerator = Accelerator(cpu=True)
    losses = []
    for prepared in (True, False):
        model = tiny(name).train()
        optimiser: Any = torch.optim.AdamW(model.parameters(), lr=1e-2)
        if prepared:
            model, optimiser = accelerator.prepare(model, optimiser)
        backward = accelerator.backward if prepared else torch.Tensor.backward
        losses.append(torch.stack([step(model, optimiser, backward, name) for _ in range(3)]))
        if prepared:
            accelerator.save_model(model, tmp_path / "weights")
            accelerator.unwrap_model(model).save_pretrained(
                tmp_path / "folder",
                is_main_process=accelerator.is_main_process,
                save_function=accelerator.save,
                state_dict=accelerator.get_state_dict(model),
            )
            kept = model
    assert torch.equal(*losses)
    assert losses[0][0] != losses[0][2]
    assert load_file(tmp_path / "weights" / "model.safetensors").keys() == kept.state_dict().keys()
    reloaded = getattr(distilbert, name).from_pretrained(tmp_path / "folder")
    for one, other in zip(reloaded.parameters(), model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_half_precision_gives_full_precision_back() -> None:
    """It rebuilds what a model returns as the same class, from a dictionary."""
    accelerator = Accelerator(cpu=True, mixed_precision="bf16")
    model = accelerator.prepare(tiny("DistilBertForMaskedLM"))
    input_ids, mask = ragged("", 3, 7)
    output = model(input_ids, mask, labels=input_ids, output_hidden_states=True)
    assert type(output) is distilbert.torch.heads.MaskedLMOutput
    assert {x.dtype for x in (output.loss, output.logits, *output.hidden_states)} == {torch.float32}
    exact = tiny("DistilBertForMaskedLM")(input_ids, mask, labels=input_ids)
    assert 0 < (output.logits - exact.logits).abs().max() < 0.2  # of 8 bits


def test_a_state_is_saved_and_loaded(tmp_path: Path) -> None:
    name = "DistilBertForMaskedLM"
    accelerator = Accelerator(cpu=True)
    model, optimiser = accelerator.prepare(tiny(name).train(), None)
    optimiser = accelerator.prepare(torch.optim.AdamW(model.parameters(), lr=1e-2))
    accelerator.save_state(str(tmp_path))
    first = [float(step(model, optimiser, accelerator.backward, name)) for _ in range(3)]
    accelerator.load_state(str(tmp_path))
    assert [float(step(model, optimiser, accelerator.backward, name)) for _ in range(3)] == first
    assert len(set(first)) == 3


@pytest.mark.parametrize("name", CLASSES)
def test_built_without_memory_and_filled_from_our_folder(name: str, tmp_path: Path) -> None:
    model = tiny(name)
    model.save_pretrained(tmp_path)
    with accelerate.init_empty_weights():
        empty = getattr(distilbert, name)(tiny_config())
    assert {p.device.type for p in empty.parameters()} == {"meta"}
    empty.tie_weights()  # as accelerate asks for
    filled = accelerate.load_checkpoint_and_dispatch(empty, tmp_path, device_map={"": "cpu"}).eval()
    given = ragged(name, 3, 7)
    with torch.no_grad():
        for one, other in zip(filled(*given).to_tuple(), model(*given).to_tuple(), strict=True):
            assert torch.allclose(one, other, rtol=0.0, atol=ATOL)
    if name.endswith("MaskedLM"):
        assert filled.vocab_projector.weight is filled.get_input_embeddings().weight


@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize("name", CLASSES)
def test_weights_that_come_when_a_layer_runs(name: str, packing: bool) -> None:
    """No parameter is read but by the module that has it: elsewhere there is nothing to read."""
    model = tiny(name)
    model.set_attention("sdpa", packing=packing)
    given = ragged(name, 3, 7)
    with torch.no_grad():
        wanted = model(*given)
        # A state leaves the tied table's other name out, and offloading looks for every one.
        state = dict(model.named_parameters(remove_duplicate=False))
        accelerate.cpu_offload(model, torch.device("cpu"), state_dict=state)
        assert {p.device.type for p in model.parameters()} == {"meta"}
        for one, other in zip(model(*given).to_tuple(), wanted.to_tuple(), strict=True):
            assert torch.allclose(one, other, rtol=0.0, atol=ATOL)


def test_weights_that_come_from_the_disk(tmp_path: Path) -> None:
    model = tiny("DistilBertForMaskedLM")
    given = ragged("DistilBertForMaskedLM", 3, 7)
    with torch.no_grad():
        wanted = model(*given).logits
        accelerate.utils.offload_state_dict(tmp_path, dict(model.named_parameters(remove_duplicate=False)))
        accelerate.disk_offload(model, tmp_path, torch.device("cpu"))
        assert {p.device.type for p in model.parameters()} == {"meta"}
        assert torch.allclose(model(*given).logits, wanted, rtol=0.0, atol=ATOL)


def test_a_block_stays_on_one_device() -> None:
    model = tiny("DistilBertForSequenceClassification", n_layers=3)
    block = sum(p.numel() * 4 for p in model.distilbert.transformer.layer[0].parameters())
    most = {"cpu": sum(p.numel() * 4 for p in model.distilbert.embeddings.parameters()) + 2.5 * block}
    places = accelerate.infer_auto_device_map(
        model, {**most, "disk": 10**9}, no_split_module_classes=model._no_split_modules
    )
    blocks = {key: place for key, place in places.items() if ".layer." in key}
    assert set(blocks.values()) == {"cpu", "disk"}
    assert all(key.count(".") == 3 for key in blocks)  # whole ones
