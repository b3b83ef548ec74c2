"""What is changed of a model once it is built: the peer is the oracle where it has it right."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from models import CONFIGS, batch, scatter
from peer import ATOL, largest_difference, peer_of
from torch import Tensor, nn
from transformers.models.distilbert.modeling_distilbert import create_sinusoidal_embeddings

import distilbert
from distilbert.core.surgery import cut, student_config
from distilbert.errors import ConfigError, DataError

HEADS = ["Model", "ForMaskedLM", "ForSequenceClassification", "ForMultipleChoice", "ForTokenClassification",
         "ForQuestionAnswering"]  # fmt: skip


def build(head: str = "Model", sizes: str = "usual", **changes: Any) -> Any:
    config = distilbert.DistilBertConfig.from_dict(CONFIGS[sizes].to_dict(), **changes)
    return scatter(getattr(distilbert, f"DistilBert{head}")(config))


def ids_for(model: Any, length: int = 6, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (2, 3, length) if "Choice" in type(model).__name__ else (3, length)
    return torch.randint(1, model.config.vocab_size, shape, generator=generator)


@torch.no_grad()
def answer(model: Any, *inputs: Any, **more: Any) -> Tensor:
    """The first of what a model gives."""
    return model(*inputs, return_dict=False, **more)[0]


def assert_same_answers(ours: Any, theirs: Any, *inputs: Any) -> None:
    assert largest_difference(answer(ours, *inputs), answer(theirs, *inputs)) <= ATOL


# Words


@pytest.mark.parametrize(
    ("head", "sizes", "count"),
    [*((head, "usual", 67) for head in HEADS), ("ForMaskedLM", "usual", 44)]
    + [("ForMaskedLM", "untied", count) for count in (44, 67)],
)
def test_words_become_more_or_fewer_as_with_the_peer(head: str, sizes: str, count: int) -> None:
    ours = build(head, sizes)
    theirs = peer_of(ours)
    old = ours.get_input_embeddings()
    before = {key: p.clone() for key, p in ours.named_parameters()}
    assert ours.resize_token_embeddings(count) is old is ours.get_input_embeddings()
    theirs.resize_token_embeddings(count)
    assert ours.config.vocab_size == theirs.config.vocab_size == count == old.num_embeddings
    peers = dict(theirs.named_parameters())
    kept = min(count, 60)
    for key, mine in ours.named_parameters():
        assert mine.shape == peers[key].shape
        if mine.shape == before[key].shape:
            assert torch.equal(mine, before[key])
        else:
            assert len(mine) == count
            assert torch.equal(mine[:kept], before[key][:kept])
            assert largest_difference(mine, peers[key]) <= 1e-3  # both draw within 1e-4 of the same mean
    if head == "ForMaskedLM":
        tied = sizes != "untied"
        assert (ours.vocab_projector.weight is old.weight) is tied
        assert ours.vocab_projector.out_features == count
    ids = ids_for(ours)  # of the new words too
    assert torch.isfinite(answer(ours, ids)).all()
    assert_same_answers(ours, peer_of(ours), ids)
    if count < 60:
        assert_same_answers(ours, theirs, ids)


@pytest.mark.parametrize(("count", "multiple"), [(61, 8), (None, 64), (64, 64), (50, 7), (None, None)])
def test_words_become_a_multiple_as_with_the_peer(count: int | None, multiple: int | None) -> None:
    ours = build("ForMaskedLM")
    theirs = peer_of(ours)
    for model in (ours, theirs):
        model.resize_token_embeddings(count, multiple)
    assert ours.config.vocab_size == theirs.config.vocab_size
    assert ours.get_input_embeddings().num_embeddings == theirs.get_input_embeddings().num_embeddings


def test_new_words_lie_around_the_mean_with_the_old_ones_covariance() -> None:
    model = build("ForMaskedLM", sizes="untied").double()
    old = model.get_input_embeddings().weight.clone()
    biases = model.vocab_projector.bias.clone()
    mean, covariance = old.mean(0), old.T.cov(correction=0)
    torch.manual_seed(0)
    new = model.resize_token_embeddings(len(old) + 20_000).weight[len(old) :]
    # The peer's rule: N(mean, 1e-9 covariance). Of 20,000 draws both are known to a few per cent.
    assert (new.mean(0) - mean).abs().max() <= 5 * (1e-9 * covariance.diag().max() / len(new)).sqrt()
    found = new.T.cov(correction=0) / 1e-9
    assert torch.linalg.norm(found - covariance) <= 0.1 * torch.linalg.norm(covariance)
    assert torch.linalg.norm(found - covariance.diag().diag()) > 0.3 * torch.linalg.norm(covariance)
    grown = model.vocab_projector.bias[len(old) :]
    assert grown.mean().item() == pytest.approx(biases.mean().item(), abs=1e-6)
    assert grown.std().item() == pytest.approx(1e-9**0.5 * biases.std(correction=0).item(), rel=0.05)


def test_new_words_may_be_drawn_as_a_new_model_is() -> None:
    model = build("ForMaskedLM", initializer_range=0.05)
    torch.manual_seed(0)
    new = model.resize_token_embeddings(5060, mean_resizing=False).weight[60:]
    assert new.std().item() == pytest.approx(0.05, rel=0.01)
    assert abs(new.mean().item()) <= 0.001
    assert not model.vocab_projector.bias[60:].any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((61.5,), "new_num_tokens must be a whole number"),
        (("61",), "new_num_tokens must be a whole number"),
        ((True,), "new_num_tokens must be a whole number"),
        ((0,), "of at least 1"),
        ((61, 1.3), "pad_to_multiple_of must be a whole number"),
        ((61, 0), "pad_to_multiple_of must be a whole number of at least 1"),
    ],
)
def test_numbers_of_words_that_cannot_be(arguments: tuple[Any, ...], message: str) -> None:
    model = build("ForMaskedLM")
    with pytest.raises(ConfigError, match=message):
        model.resize_token_embeddings(*arguments)
    assert model.config.vocab_size == len(model.get_input_embeddings().weight) == 60
    padded = build(pad_token_id=50)
    with pytest.raises(ConfigError, match="of at least 51"):
        padded.resize_token_embeddings(50)


def test_a_frozen_table_stays_frozen_and_padding_learns_nothing() -> None:
    model = build("ForTokenClassification")
    model.get_input_embeddings().weight.requires_grad_(False)
    assert not model.resize_token_embeddings(70).weight.requires_grad
    model.get_input_embeddings().weight.requires_grad_(True)
    ids = torch.tensor([[0, 69, 1]])
    model(ids, labels=torch.tensor([[1, 1, 0]])).loss.backward()
    gradient = model.get_input_embeddings().weight.grad
    assert not gradient[0].any()
    assert gradient[69].any()


# Positions


@pytest.mark.parametrize(
    ("head", "sizes"),
    [*((head, "usual") for head in HEADS), ("Model", "sinusoidal"), ("ForMaskedLM", "sinusoidal")],
)
def test_longer_texts_really_pass(head: str, sizes: str) -> None:
    model = build(head, sizes)
    if sizes == "sinusoidal":
        with torch.no_grad():
            create_sinusoidal_embeddings(24, 32, model.get_position_embeddings().weight)
    table = model.get_position_embeddings()
    before, short = table.weight.clone(), ids_for(model)
    answered = answer(model, short)
    with pytest.raises(DataError, match=r"40 tokens, with 24 positions.*resize_position_embeddings\(40\)"):
        model(ids_for(model, 40))
    model.resize_position_embeddings(40)
    assert model.get_position_embeddings() is table
    assert model.config.max_position_embeddings == table.num_embeddings == len(table.weight) == 40
    assert torch.equal(table.weight[:24], before)
    assert table.weight[24:].std() > 0
    if sizes == "sinusoidal":
        wanted = torch.empty(40, 32)
        create_sinusoidal_embeddings(40, 32, wanted)
        assert largest_difference(table.weight, wanted) <= 1e-6
    assert torch.equal(answer(model, short), answered)
    # The peer reads the larger table from our folder, and gives the same for longer texts.
    assert_same_answers(model, peer_of(model), ids_for(model, 40))
    model.resize_position_embeddings(10)
    assert torch.equal(table.weight, before[:10])
    assert torch.equal(answer(model, short), answered)
    with pytest.raises(DataError, match="11 tokens, with 10 positions"):
        model(ids_for(model, 11))
    for wrong in (0, 2.5, None):
        with pytest.raises(ConfigError, match="new_num_position_embeddings must be a whole number"):
            model.resize_position_embeddings(wrong)


def test_what_the_peer_does_with_more_positions() -> None:
    """Why it is no oracle here: a larger table that no text can use, and no sinusoidal one at all."""
    learned = peer_of(build())
    learned.resize_position_embeddings(40)
    with pytest.raises(RuntimeError, match="must match"):
        answer(learned, torch.ones(1, 40, dtype=torch.long))
    with pytest.raises(AttributeError, match="position_embeddings"):
        peer_of(build(sizes="sinusoidal")).resize_position_embeddings(40)


# Heads of attention

PRUNED = {0: [1, 3], 1: [0]}


@pytest.mark.parametrize(
    ("head", "implementation"), [*((head, "sdpa") for head in HEADS), ("Model", "eager")]
)
def test_pruned_as_the_peer_prunes(head: str, implementation: str, tmp_path: Path) -> None:
    ours = build(head, attn_implementation=implementation)
    theirs, ids = peer_of(ours), ids_for(ours)
    whole = answer(ours, ids)
    ours.prune_heads(PRUNED)
    theirs.prune_heads(PRUNED)
    assert largest_difference(answer(ours, ids), whole) > 1e-3
    assert_same_answers(ours, theirs, ids)
    for name in ("n_heads", "dim", "attention_head_size", "pruned_heads"):
        mine, peers = (getattr(m.base_model.transformer.layer[0].attention, name) for m in (ours, theirs))
        assert mine == peers, name
    assert ours.num_parameters() == theirs.num_parameters()
    # Kept in folders, in both directions.
    assert_same_answers(ours, peer_of(ours), ids)
    theirs.save_pretrained(tmp_path)
    again = type(ours).from_pretrained(tmp_path)
    assert again.config.pruned_heads == ours.config.pruned_heads == PRUNED
    assert_same_answers(again, ours, ids)


def test_prunings_add_up_and_layers_count_from_the_end() -> None:
    once, twice, ids = build(), build(), torch.ones(2, 5, dtype=torch.long)
    once.prune_heads({0: [0, 2], 1: [3]})
    twice.prune_heads({0: [2]})
    twice.prune_heads({0: [0, 2], -1: [3]})
    assert once.config.pruned_heads == twice.config.pruned_heads == {0: [0, 2], 1: [3]}
    assert torch.equal(answer(once, ids), answer(twice, ids))


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        ({0: [0, 1, 2, 3]}, "all 4 heads of layer 0"),
        ({0: [4]}, "layer 0, heads"),
        ({2: [0]}, "layer 2, heads"),
        ({-3: [0]}, "{-3: .0.}"),
        ({0: [-1]}, "heads_to_prune"),
        ({0: 1}, "heads_to_prune must be a dictionary"),
        ({"first": [1]}, "heads_to_prune must be a dictionary"),
        ({0: ["one"]}, "heads_to_prune must be a dictionary"),
        ([0, 1], "heads_to_prune must be a dictionary"),
        (None, "heads_to_prune must be a dictionary"),
    ],
)
def test_prunings_that_cannot_be(heads: Any, message: str) -> None:
    model, ids = build(), torch.ones(2, 5, dtype=torch.long)
    model.prune_heads({1: [0]})
    before = answer(model, ids)
    with pytest.raises(ConfigError, match=message):
        model.prune_heads(heads)
    assert model.config.pruned_heads == {1: [0]}
    assert torch.equal(answer(model, ids), before)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_a_pruned_head_is_one_that_a_mask_silences(implementation: str) -> None:
    whole = build(attn_implementation=implementation)
    pruned = build(attn_implementation=implementation)
    pruned.prune_heads(PRUNED)
    factors = torch.rand(2, 4, generator=torch.Generator().manual_seed(1))
    silenced = factors.clone()
    for layer, heads in PRUNED.items():
        silenced[layer, heads] = 0
    ids, mask = batch(whole.config)
    # The output's bias stays, in either; a mask counts the heads of the unpruned model.
    assert largest_difference(answer(pruned, ids, mask, factors), answer(whole, ids, mask, silenced)) <= ATOL
    with torch.no_grad():
        mine = pruned(ids, mask, factors, output_attentions=True)
        full = whole(ids, mask, silenced, output_attentions=True)
    assert largest_difference(mine.last_hidden_state, full.last_hidden_state) <= ATOL
    for layer, heads in PRUNED.items():
        kept = [head for head in range(4) if head not in heads]
        assert largest_difference(mine.attentions[layer], full.attentions[layer][:, kept]) <= ATOL


def test_a_student_is_cut_from_a_pruned_teacher() -> None:
    teacher = build("ForMaskedLM", "odd width")
    whole = teacher.arrays()
    layers = (0, 2)
    student = distilbert.DistilBertForMaskedLM(student_config(teacher.config, layers=layers)).eval()
    student.assign(cut(teacher.config, whole, layers))
    student.prune_heads({1: [2]})
    teacher.prune_heads({2: [2], 1: [0, 1]})
    late = distilbert.DistilBertForMaskedLM(student_config(teacher.config, layers=layers)).eval()
    late.assign(cut(teacher.config, teacher.arrays(), layers))
    assert late.config.pruned_heads == {1: [2]}
    ids, mask = batch(teacher.config)
    assert largest_difference(answer(late, ids, mask), answer(student, ids, mask)) <= ATOL


# Attention


@pytest.mark.parametrize("head", HEADS[:3])
@pytest.mark.parametrize("implementation", ["eager", "sdpa", "flex_attention"])
def test_attention_is_chosen_after_loading(head: str, implementation: str, tmp_path: Path) -> None:
    build(head).save_pretrained(tmp_path)
    model = getattr(distilbert, f"DistilBert{head}").from_pretrained(tmp_path)
    ids, before = ids_for(model), dict(model.named_parameters())
    usual = answer(model, ids)
    for choose in (model.set_attention, model.set_attn_implementation):
        model.set_attention("sdpa")
        choose(implementation)
        assert model.config.attn_implementation == implementation
        kinds = {block.attention.implementation for block in model.base_model.transformer.layer}
        assert kinds == {implementation}
        assert all(p is before[name] for name, p in model.named_parameters())
        assert not any(module.training for module in model.modules())
        assert largest_difference(answer(model, ids), usual) <= ATOL
    model.train().set_attention("eager")
    assert all(block.attention.training for block in model.base_model.transformer.layer)


def test_hooks_and_modes_outlive_another_attention() -> None:
    model, ids, seen = build().train(), torch.ones(2, 5, dtype=torch.long), []
    first, second = (block.attention for block in model.transformer.layer)
    first.register_forward_hook(lambda *_: seen.append("after"))
    first.register_forward_pre_hook(lambda *_: seen.append("before"))
    second.eval()
    model.set_attention("eager")
    model.prune_heads({0: [1]})
    answer(model, ids)
    assert seen == ["before", "after"]
    assert [block.attention.training for block in model.transformer.layer] == [True, False]


def test_hooks_that_stand_in_a_forwards_place_outlive_another_attention() -> None:
    """As accelerate and ``.compile()`` put them there: bound to the module, which therefore stays."""
    from accelerate.hooks import ModelHook, add_hook_to_module

    model, ids = build(), torch.ones(2, 5, dtype=torch.long)
    for block in model.transformer.layer:
        add_hook_to_module(block.attention, ModelHook())
    ran = []
    model.set_attention("eager")
    for block in model.transformer.layer:
        block.attention.dropout.register_forward_hook(lambda *_: ran.append("eager"))
    answer(model, ids)
    assert len(ran) == len(model.transformer.layer)
    model.set_attention("flash_attention_2")
    with pytest.raises(ConfigError, match="on a CUDA GPU"):
        answer(model, ids)


def test_pruning_one_layer_leaves_the_others_parameters() -> None:
    model = build()
    before = dict(model.named_parameters())
    model.prune_heads({})
    assert all(p is before[name] for name, p in model.named_parameters())
    model.prune_heads({0: [1]})
    new = {name for name, p in model.named_parameters() if p is not before[name]}
    assert len(new) == 7
    assert all(".layer.0.attention." in name for name in new)


def test_what_is_wrapped_is_not_resized() -> None:
    from peft import LoraConfig, get_peft_model

    model = build("ForMaskedLM")
    get_peft_model(model, LoraConfig(r=2, target_modules=r".*layer\.0\.attention\.q_lin|.*word_embeddings"))
    model.prune_heads({1: [0]})
    with pytest.raises(ConfigError, match="Embedding in the place of one.*merge"):
        model.resize_token_embeddings(70)
    with pytest.raises(ConfigError, match="Linear in the place of one.*merge"):
        model.prune_heads({0: [0]})
    assert model.config.pruned_heads == {1: [0]}
    assert model.config.vocab_size == 60


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_who_silences_every_dropout_silences_the_attentions_too(implementation: str) -> None:
    model = build(attn_implementation=implementation, attention_dropout=0.5, dropout=0.5).train()
    ids = ids_for(model)
    usual = answer(model, ids)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    still = answer(model, ids)
    assert torch.equal(still, answer(model, ids))
    assert not torch.equal(still, usual)
    assert torch.equal(still, answer(model.eval(), ids))
    for block in model.transformer.layer:
        block.attention.dropout.train()
    assert not torch.equal(answer(model, ids), still)


def test_packing_is_on_or_off() -> None:
    model = build()
    with pytest.raises(ConfigError, match="packing must be"):
        model.set_attention("eager", packing="no")
    assert model.config.attn_implementation == "sdpa"


def test_models_of_one_configuration_change_each_on_its_own() -> None:
    config = distilbert.DistilBertConfig.from_dict(CONFIGS["usual"].to_dict())
    changed, other = distilbert.DistilBertForMaskedLM(config), distilbert.DistilBertForMaskedLM(config)
    before = config.to_dict()
    changed.resize_token_embeddings(70)
    changed.resize_position_embeddings(40)
    changed.prune_heads({0: [1]})
    changed.set_attention("eager")
    changed.config.id2label[0] = "another"
    assert config.to_dict() == other.config.to_dict() == before
    assert other.config.attn_implementation == config.attn_implementation == "sdpa"
    assert changed.distilbert.config is changed.config
    with pytest.raises(DataError, match="the id 65"):
        other(torch.tensor([[65]]))
    assert torch.isfinite(answer(changed, torch.tensor([[65] * 30]))).all()


def test_attention_may_be_chosen_before_there_is_a_gpu() -> None:
    model = build()
    model.set_attention("flash_attention_2")
    assert model.config.attn_implementation == "flash_attention_2"
    model.set_attention("sdpa", packing=False)
    assert model.packing is False
    assert torch.isfinite(answer(model, torch.ones(1, 3, dtype=torch.long))).all()


@pytest.mark.parametrize("name", ["foo", "flash_attention_3", "", None, "SDPA"])
def test_an_attention_that_is_not_there(name: Any, tmp_path: Path) -> None:
    model = build()
    model.save_pretrained(tmp_path)
    message = "attn_implementation must be one of eager, sdpa, flex_attention, flash_attention_2"
    for choose in (
        model.set_attention,
        lambda name: distilbert.DistilBertModel.from_pretrained(tmp_path, attn_implementation=name),
    ):
        with pytest.raises(ConfigError, match=message):
            choose(name)
    assert model.config.attn_implementation == "sdpa"
    assert torch.isfinite(answer(model, torch.ones(1, 3, dtype=torch.long))).all()


# Memory for time


def step(model: Any, *inputs: Any, seed: int = 0) -> tuple[float, dict[str, Tensor], int]:
    """The loss, every gradient, and how often blocks were called."""
    calls: list[nn.Module] = []
    hooks = [b.register_forward_pre_hook(lambda block, _: calls.append(block))
             for b in model.base_model.transformer.layer]  # fmt: skip
    model.zero_grad()
    torch.manual_seed(seed)
    loss = model(*inputs, labels=inputs[0]).loss
    loss.backward()
    for hook in hooks:
        hook.remove()
    return loss.item(), {name: p.grad.clone() for name, p in model.named_parameters()}, len(calls)


@pytest.mark.parametrize("how", [None, {"use_reentrant": True}, {"use_reentrant": False}])
@pytest.mark.parametrize("packing", [True, False])
def test_recomputed_gradients_are_the_same(how: dict[str, Any] | None, packing: bool) -> None:
    model = build("ForMaskedLM").double().train()  # with its dropout: the second pass draws as the first
    model.base_model.packing = packing
    given = batch(model.config)
    loss, kept, calls = step(model, *given)
    assert calls == 2
    model.gradient_checkpointing_enable(how)
    assert model.is_gradient_checkpointing
    assert model.base_model.is_gradient_checkpointing
    loss_again, recomputed, calls = step(model, *given)
    assert calls == 4  # once more in backward
    assert loss_again == pytest.approx(loss, abs=1e-12)
    for name, gradient in kept.items():
        assert largest_difference(gradient, recomputed[name]) <= 1e-10, name
    model.gradient_checkpointing_disable()
    assert not model.is_gradient_checkpointing
    assert step(model, *given)[2] == 2
    model.gradient_checkpointing_enable()
    assert step(model.eval(), *given)[2] == 2  # in training only


def test_recomputing_keeps_less() -> None:
    model = build("ForMaskedLM").train()
    kept: list[int] = []

    def measure(_: Callable[..., Any] | None = None) -> int:
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(lambda x: (kept.append(x.numel()), x)[1], lambda x: x):
            model(*batch(model.config), labels=batch(model.config)[0])
        return sum(kept)

    whole = measure()
    model.gradient_checkpointing_enable()
    assert measure() < 0.6 * whole


def test_a_keyword_of_recomputing_that_is_not_there() -> None:
    model = build()
    with pytest.raises(ConfigError, match="'reentrant'"):
        model.gradient_checkpointing_enable({"reentrant": False})
    assert not model.is_gradient_checkpointing
    model.gradient_checkpointing_enable({"use_reentrant": True, "preserve_rng_state": False})
    assert model.is_gradient_checkpointing
