"""Our models under peft: adapters train as on the peer's, are saved, loaded and merged."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peer import peer_of
from peft import (
    LoraConfig,
    PeftModel,
    PromptEncoderConfig,
    PromptTuningConfig,
    TaskType,
    get_peft_model,
)
from tiny import answers, ragged, tiny

import distilbert

#: fp32 against fp32 after four steps of a tenth, which let differences of rounding grow.
ATOL = 1e-4

TASKS = {
    "DistilBertForSequenceClassification": TaskType.SEQ_CLS,
    "DistilBertForTokenClassification": TaskType.TOKEN_CLS,
    "DistilBertForQuestionAnswering": TaskType.QUESTION_ANS,
    "DistilBertForMaskedLM": None,
    "DistilBertForMultipleChoice": None,
}


def adapted(model: Any, task: TaskType | None, **how: Any) -> Any:
    torch.manual_seed(0)
    return get_peft_model(
        model, LoraConfig(task_type=task, r=4, **{"target_modules": ["q_lin", "v_lin"], **how})
    )


def full(name: str) -> dict[str, torch.Tensor]:
    """Rows without padding, over which ours and the peer's losses are the same ones."""
    input_ids, mask = ragged(name, 4, 9)
    return {"input_ids": input_ids, "attention_mask": torch.ones_like(mask)}


def trained(model: Any, name: str) -> tuple[list[float], list[torch.Tensor]]:
    """Losses of four steps, and outputs after them."""
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-1)
    losses = []
    given = full(name)
    model.train()
    for _ in range(4):
        loss = model(**given, **answers(name, given["input_ids"])).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(float(loss.detach()))
    return losses, outputs(model, name)


def outputs(model: Any, name: str) -> list[torch.Tensor]:
    with torch.no_grad():
        return list(model.eval()(**full(name)).values())


def difference(ours: list[torch.Tensor], other: list[torch.Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(ours, other, strict=True))


@pytest.mark.parametrize("name", TASKS)
def test_adapters_train_and_travel_as_on_the_peers_model(name: str, tmp_path: Path) -> None:
    base = tiny(name)
    theirs = adapted(peer_of(base), TASKS[name])
    ours = adapted(base, TASKS[name])
    assert {n for n, p in ours.named_parameters() if p.requires_grad} == {
        n for n, p in theirs.named_parameters() if p.requires_grad
    }
    before = outputs(ours, name)
    (losses, after), (their_losses, their_outputs) = trained(ours, name), trained(theirs, name)
    assert losses == pytest.approx(their_losses, abs=ATOL)
    assert difference(after, their_outputs) <= ATOL
    assert difference(after, before) > 100 * ATOL
    ours.save_pretrained(tmp_path / "ours")
    theirs.save_pretrained(tmp_path / "theirs")
    for folder in ("ours", "theirs"):
        again = PeftModel.from_pretrained(tiny(name), tmp_path / folder)
        assert difference(outputs(again, name), after) <= ATOL
    merged = ours.merge_and_unload()
    assert type(merged) is type(base)
    assert difference(outputs(merged, name), after) <= ATOL
    merged.save_pretrained(tmp_path / "merged")
    assert difference(outputs(type(base).from_pretrained(tmp_path / "merged"), name), after) <= ATOL


@pytest.mark.parametrize("packing", [True, False])
def test_adapters_of_every_map_over_ragged_rows(packing: bool) -> None:
    """Padding taken out, blocks computed again in backward, and the last block's first tokens alone."""
    name = "DistilBertForSequenceClassification"
    maps = ["q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"]
    model = adapted(tiny(name), TaskType.SEQ_CLS, target_modules=maps).train()
    model.get_base_model().set_attention("sdpa", packing=packing)
    model.get_base_model().gradient_checkpointing_enable()
    input_ids, mask = ragged(name, 4, 9)
    for side in (mask, mask.flip(1)):
        model.zero_grad()
        model(input_ids, side, labels=torch.tensor([0, 1, 0, 1])).loss.backward()
        learned = {n: p.grad for n, p in model.named_parameters() if "lora_B" in n}
        assert len(learned) == 2 * len(maps)
        assert all(float(g.abs().max()) > 0 for g in learned.values())


def test_a_copied_table_is_not_the_tied_one_any_more(tmp_path: Path) -> None:
    """Peft trains a copy of the table and leaves the projection with the first: so must tying."""
    name = "DistilBertForMaskedLM"
    found = []
    for folder, base in (("ours", tiny(name)), ("theirs", peer_of(tiny(name)))):
        model = adapted(base, None, modules_to_save=["word_embeddings"])
        losses, after = trained(model, name)
        model.load_state_dict(model.state_dict())
        assert difference(outputs(model.float(), name), after) == 0
        model.save_pretrained(tmp_path / folder)
        merged = model.merge_and_unload()
        assert not merged.config.tie_word_embeddings
        assert difference(outputs(merged.float(), name), after) <= ATOL
        merged.save_pretrained(tmp_path / f"{folder}-merged")
        found.append((losses, after))
    assert found[0][0] == pytest.approx(found[1][0], abs=ATOL)
    assert difference(found[0][1], found[1][1]) <= ATOL
    for folder in ("ours", "theirs"):
        again = PeftModel.from_pretrained(tiny(name), tmp_path / folder)
        assert difference(outputs(again, name), found[0][1]) <= ATOL
        merged = distilbert.DistilBertForMaskedLM.from_pretrained(tmp_path / f"{folder}-merged")
        assert difference(outputs(merged, name), found[0][1]) <= ATOL


@pytest.mark.parametrize("modules", ["vocab_projector", "all-linear"])
def test_adapters_of_a_tied_projection(modules: str, tmp_path: Path) -> None:
    """The table stays the embeddings'; moving, saving and merging do what they do elsewhere."""
    model = tiny("DistilBertForMaskedLM")
    table = model.get_input_embeddings().weight
    usual = outputs(model, "DistilBertForMaskedLM")
    wrapped = get_peft_model(
        model, LoraConfig(r=2, target_modules=["vocab_projector"] if modules != "all-linear" else modules)
    )
    wrapped.to("cpu").eval()
    assert wrapped.base_model.model.get_input_embeddings().weight.data_ptr() == table.data_ptr()
    wrapped.save_pretrained(tmp_path)
    again = PeftModel.from_pretrained(tiny("DistilBertForMaskedLM"), tmp_path).eval()
    assert difference(outputs(again, "DistilBertForMaskedLM"), usual) <= ATOL


@pytest.mark.parametrize("kind", [PromptTuningConfig, PromptEncoderConfig])
def test_prompts_are_learnt_as_the_peers_are(kind: Any) -> None:
    name = "DistilBertForSequenceClassification"
    ours = tiny(name)
    found = []
    for model in (ours, peer_of(ours)):
        torch.manual_seed(0)
        config = model.config
        how = {"token_dim": config.dim, "num_layers": config.n_layers, "num_attention_heads": config.n_heads}
        prompted = get_peft_model(model, kind(task_type=TaskType.SEQ_CLS, num_virtual_tokens=3, **how))
        found.append(trained(prompted, name)[0])
    assert found[0] == pytest.approx(found[1], abs=ATOL)
    assert found[0][0] != pytest.approx(found[0][-1], abs=ATOL)


def test_rows_of_several_adapters_are_rows_without_packing() -> None:
    """As the page says: an adapter is chosen by a row's number, and texts end to end have none."""
    name = "DistilBertForSequenceClassification"
    ours = tiny(name)
    peer = peer_of(ours)
    wrapped = []
    for model in (ours, peer):
        torch.manual_seed(0)
        both = adapted(model, None, init_lora_weights=False, lora_alpha=400)
        both.add_adapter(
            "other", LoraConfig(r=2, target_modules=["q_lin"], init_lora_weights=False, lora_alpha=200)
        )
        wrapped.append(both.eval())
    given = dict(zip(("input_ids", "attention_mask"), ragged(name, 4, 9), strict=True))
    rows = ["default", "other", "__base__", "default"]
    with torch.no_grad():
        ours.set_attention("sdpa", packing=False)
        own, other = (model(**given, adapter_names=rows).logits for model in wrapped)
        assert torch.allclose(own, other, atol=1e-5)
        assert not torch.allclose(own, wrapped[0](**given).logits, atol=1e-3)
        ours.set_attention("sdpa", packing=True)
        with pytest.raises(ValueError, match="adapter_names"):
            wrapped[0](**given, adapter_names=rows)
