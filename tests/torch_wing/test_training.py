"""The loop: what must not change a gradient does not, and what must stop a run stops it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from small_files import sentences, write_teacher

from distilbert import LanguageModelling
from distilbert.core import reference
from distilbert.core.config import IGNORED_LABEL
from distilbert.core.data.collate import endless_batches
from distilbert.core.data.corpus import open_corpus
from distilbert.core.data.masking import sequence_rng
from distilbert.core.surgery import choose_layers, cut, student_config
from distilbert.errors import TrainingError
from distilbert.torch.device import pick_device
from distilbert.torch.folders import masked_language_model, open_folder, open_language_model
from distilbert.torch.language_modelling import MaskedWords
from distilbert.torch.train import _accumulate, _optimiser, _triangle, set_dropout, train

RECIPE = LanguageModelling(batch_size=12, micro_batch_size=12, max_length=32, min_length=3, precision="fp32")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory):
    """A teacher, its tokenizer, and sequences of many lengths."""
    folder = write_teacher(tmp_path_factory.mktemp("parts") / "teacher")
    config, tokenizer = open_folder(folder)
    teacher, missing = open_language_model(folder, config, device=pick_device("cpu"))
    assert not missing
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    texts = [t for w in (6, 10, 20) for t in sentences(40, words=w, seed=w)[0]]
    return teacher, tokenizer, open_corpus(texts, tokenizer, max_length=32, min_length=3)


def objective_of(parts, recipe: LanguageModelling, *, taught: bool = True) -> MaskedWords:
    teacher, tokenizer, data = parts
    layers = choose_layers(2, of=teacher.config.n_layers)
    student = masked_language_model(student_config(teacher.config, layers=range(2)))
    student.assign(cut(teacher.config, teacher.arrays(), layers))
    set_dropout(student, 0.0)
    return MaskedWords(student, teacher if taught else None, data, tokenizer, recipe)


def gradients(objective: MaskedWords, recipe: LanguageModelling) -> dict[str, torch.Tensor]:
    weights = {name: weight for name, weight in objective.weights.items() if weight}
    objective.model.zero_grad()
    _accumulate(objective.model, objective, weights, next(objective.steps()), recipe)
    return {n: p.grad.clone() for n, p in objective.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("positions", ["masked", "all"])
@pytest.mark.parametrize("micro_batch_size", [1, 5, 7])
def test_splitting_a_step_changes_no_gradient(parts, positions: str, micro_batch_size: int) -> None:
    whole = RECIPE.with_changes(positions=positions)
    split = whole.with_changes(micro_batch_size=micro_batch_size)
    expected = gradients(objective_of(parts, whole), whole)
    found = gradients(objective_of(parts, split), split)
    assert expected.keys() == found.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=2e-6, rtol=1e-4)


def test_a_mean_of_means_would_change_it(parts) -> None:
    """The wrong variant: each micro-batch divided by its own count, as the original does."""
    split = RECIPE.with_changes(micro_batch_size=4)
    objective = objective_of(parts, RECIPE)
    expected = gradients(objective, RECIPE)
    objective = objective_of(parts, split)
    batches = next(objective.steps())
    for batch in batches:
        sums = objective.loss_sums(batch)
        sum(objective.weights[n] * s / batch.counts[n] / len(batches) for n, s in sums.items()).backward()
    found = {n: p.grad for n, p in objective.model.named_parameters() if p.grad is not None}
    assert max(float((found[n] - g).abs().max()) for n, g in expected.items()) > 1e-3


@pytest.mark.parametrize("positions", ["masked", "all"])
def test_the_triple_loss_is_the_references(parts, positions: str) -> None:
    """The whole step in plain numpy, from the same hidden words."""
    recipe = RECIPE.with_changes(positions=positions)
    objective = objective_of(parts, recipe)
    teacher = parts[0]
    batch = next(objective.steps())[0]
    with torch.no_grad():
        sums = {name: float(value) for name, value in objective.loss_sums(batch).items()}
    ids, live = (batch.tensors[name].numpy() for name in ("input_ids", "attention_mask"))
    states, logits = [], []
    for model in (objective.model, teacher):
        arrays = model.arrays()
        hidden = reference.encode(model.config, arrays, ids, live).last_hidden_state
        states.append(hidden.reshape(-1, hidden.shape[-1]))
        told = reference.masked_lm_logits(model.config, arrays, hidden)
        logits.append(told.reshape(-1, told.shape[-1]))
    data = objective.data
    _, rows = next(endless_batches(data.lengths, batch_size=recipe.batch_size, seed=recipe.seed))
    hidden_pairs = [objective.masking(data[row], sequence_rng(recipe.seed, 0, int(row))) for row in rows]
    width = ids.shape[1]
    labels = np.full((len(rows), width), IGNORED_LABEL)
    special = np.ones((len(rows), width), bool)
    for i, (row, (_, label)) in enumerate(zip(rows, hidden_pairs, strict=True)):
        labels[i, : len(label)] = label
        special[i, : len(label)] = np.isin(data[row], objective.special_ids)
    scored = labels.ravel() != IGNORED_LABEL
    everywhere = live.ravel().astype(bool)
    words = everywhere & ~special.ravel()
    heard, compared = (everywhere, everywhere) if positions == "all" else (words, scored)
    expected = {
        "masked_lm": reference.cross_entropy(logits[0][scored], labels.ravel()[scored]).sum(),
        "distribution": reference.distribution_loss(logits[0][compared], logits[1][compared], 2.0).sum(),
        "cosine": reference.cosine_loss(states[0][heard], states[1][heard]).sum(),
    }
    assert sums == pytest.approx(expected, rel=1e-5)
    counts = {"masked_lm": scored.sum(), "distribution": compared.sum(), "cosine": heard.sum()}
    assert batch.counts == counts


@pytest.mark.parametrize("name", ["masked_lm", "distribution", "cosine"])
def test_a_term_of_no_weight_costs_nothing(parts, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = RECIPE.with_changes(**{f"{n}_weight": 0.0 for n in ("masked_lm", "distribution", "cosine")})
    recipe = recipe.with_changes(**{f"{name}_weight": 1.0})
    objective = objective_of(parts, recipe)
    calls = []
    teacher = parts[0]
    monkeypatch.setattr(teacher, "token_logits", lambda h: calls.append("logits") or h.new_zeros(len(h), 52))
    hook = teacher.bert.register_forward_pre_hook(lambda *_: calls.append("teacher"))
    batch = next(objective.steps())[0]
    assert list(objective.loss_sums(batch)) == [name]
    hook.remove()
    assert calls == {"masked_lm": [], "distribution": ["teacher", "logits"], "cosine": ["teacher"]}[name]


def test_the_teacher_is_asked_as_it_is_and_learns_nothing(parts) -> None:
    teacher = parts[0]
    teacher.train()
    objective = objective_of(parts, RECIPE)
    assert not teacher.training
    gradients(objective, RECIPE)
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_a_student_of_all_layers_has_nothing_to_learn_from_its_teacher(parts) -> None:
    teacher, tokenizer, data = parts
    recipe = RECIPE.with_changes(masked_lm_weight=0.0)
    student = masked_language_model(student_config(teacher.config, layers=range(4)))
    student.assign(cut(teacher.config, teacher.arrays(), range(4)))
    objective = MaskedWords(student.eval(), teacher, data, tokenizer, recipe)
    batch = next(objective.steps())[0]
    with torch.no_grad():
        sums = objective.loss_sums(batch)
    for name, value in sums.items():
        assert float(value) / batch.counts[name] == pytest.approx(0, abs=1e-5)


def test_the_schedule_rises_and_falls_in_straight_lines() -> None:
    factor = _triangle(RECIPE.with_changes(warmup_share=0.2), 10)
    rates = [factor(step) for step in range(11)]
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert rates[2:] == pytest.approx(np.linspace(1, 0, 9))
    flat = _triangle(RECIPE.with_changes(warmup_share=0.0), 4)
    assert [flat(step) for step in range(5)] == [1.0, 0.75, 0.5, 0.25, 0.0]


def test_biases_and_norms_do_not_decay_and_new_weights_learn_faster(parts) -> None:
    objective = objective_of(parts, RECIPE)
    recipe = RECIPE.with_changes(weight_decay=0.1, learning_rate=1e-3, new_weights_rate=5.0)
    new = {"vocab_transform.weight", "vocab_transform.bias"}
    optimiser = _optimiser(objective.model, recipe, new)
    settings = {
        id(p): (group["weight_decay"], group["lr"])
        for group in optimiser.param_groups
        for p in group["params"]
    }
    assert len(settings) == len(list(objective.model.parameters()))
    for name, parameter in objective.model.named_parameters():
        decay, rate = settings[id(parameter)]
        exempt = "norm" in name.lower() or name.endswith("bias")
        assert decay == (0.0 if exempt else 0.1), name
        assert rate == pytest.approx(5e-3 if name in new else 1e-3), name


def run(parts, recipe: LanguageModelling, **options):
    objective = objective_of(parts, recipe)
    steps = options.pop("total_steps", 8)
    log = train(objective.model, objective, recipe, total_steps=steps, stage="test", **options)
    return objective.model, log


def test_it_learns_and_says_so(parts) -> None:
    told = []
    _, log = run(
        parts,
        RECIPE.with_changes(learning_rate=3e-3),
        total_steps=40,
        progress=lambda stage, done, total, facts: told.append((stage, done, total, dict(facts))),
    )
    assert log.losses["total"][-1] < 0.8 * log.losses["total"][0]
    assert [t[1] for t in told] == list(range(41))
    assert {t[0] for t in told} == {"test"}
    assert told[-1][3]["loss"] == log.losses["total"][-1]
    weighted = sum(
        objective_of(parts, RECIPE).weights[n] * log.losses[n][3] for n in log.losses if n != "total"
    )
    assert log.losses["total"][3] == pytest.approx(weighted)


def test_the_same_seed_gives_the_same_run_and_another_does_not(parts) -> None:
    recipe = RECIPE.with_changes(dropout=0.2)

    def losses(seed: int) -> list[float]:
        torch.manual_seed(seed)
        return run(parts, recipe.with_changes(seed=seed))[1].losses["total"]

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)


def test_bf16_follows_fp32(parts) -> None:
    exact = run(parts, RECIPE)[1].losses["total"]
    rounded = run(parts, RECIPE.with_changes(precision="bf16"))[1].losses["total"]
    assert rounded != exact, "autocast did act"
    assert rounded == pytest.approx(exact, rel=0.03)


def test_frozen_positions_stay(parts) -> None:
    objective = objective_of(parts, RECIPE)
    positions = objective.model.distilbert.embeddings.position_embeddings.weight.requires_grad_(False)
    before = positions.clone()
    train(objective.model, objective, RECIPE, total_steps=3, stage="test")
    assert torch.equal(positions, before)


@pytest.mark.parametrize("kept", [0, 4])
def test_a_loss_that_is_not_finite_stops_the_run(parts, kept: int, tmp_path: Path) -> None:
    """It names the step, the terms and the last good checkpoint, which holds the weights of before."""
    objective = objective_of(parts, RECIPE)
    saved = {}

    def checkpoint(step: int) -> Path:
        saved[step] = {n: p.detach().clone() for n, p in objective.model.named_parameters()}
        return tmp_path / f"at-{step}"

    ordinary = objective.loss_sums
    calls = []

    def poisoned(batch):
        calls.append(1)
        sums = ordinary(batch)
        return {**sums, "cosine": sums["cosine"] * float("nan")} if len(calls) == 6 else sums

    objective.loss_sums = poisoned
    with pytest.raises(TrainingError) as stopped:
        train(
            objective.model,
            objective,
            RECIPE.with_changes(checkpoint_every=kept or 100),
            total_steps=9,
            stage="test",
            checkpoint=checkpoint,
        )
    message = str(stopped.value)
    assert "at step 6" in message
    assert "cosine nan" in message
    assert "masked_lm" in message
    assert f"The last good checkpoint is {tmp_path}/at-4" in message if kept else "No checkpoint" in message
    assert all(torch.isfinite(t).all() for weights in saved.values() for t in weights.values())
    assert all(torch.isfinite(p).all() for p in objective.model.parameters()), "the step was not taken"


def test_a_diverging_run_stops_by_itself(parts) -> None:
    with pytest.raises(TrainingError, match="must stay finite"):
        run(parts, RECIPE.with_changes(learning_rate=1e30, max_grad_norm=1e30), total_steps=60)


def test_gradients_are_clipped(parts) -> None:
    """A gradient of any size moves the weights as one of the greatest norm does (plain descent, by hand)."""
    recipe = RECIPE.with_changes(max_grad_norm=1e-3)
    objective = objective_of(parts, recipe)
    norms = []
    ordinary = torch.optim.AdamW.step

    def watched(self, *args, **options):
        total = sum(
            float(p.grad.square().sum()) for g in self.param_groups for p in g["params"] if p.grad is not None
        )
        norms.append(total**0.5)
        return ordinary(self, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", watched)
        train(objective.model, objective, recipe, total_steps=3, stage="test")
    assert norms == pytest.approx([1e-3] * 3, rel=1e-3)
