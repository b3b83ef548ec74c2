"""The loop: what must not change a gradient does not, and what must stop a run stops it."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_files import sentences, write_teacher

from distilbert import DistilBertConfig, LanguageModelling
from distilbert.core import reference
from distilbert.core.config import IGNORED_LABEL
from distilbert.core.data.collate import endless_batches
from distilbert.core.data.corpus import open_corpus
from distilbert.core.data.masking import sequence_rng
from distilbert.core.model_folders import open_folder
from distilbert.core.surgery import choose_layers, cut, student_config
from distilbert.core.training.course import triangle
from distilbert.core.training_log import TrainingLog
from distilbert.errors import ConfigError, TrainingError
from distilbert.torch.attention import SdpaAttention
from distilbert.torch.device import peak_flops, pick_device
from distilbert.torch.folders import masked_language_model, open_language_model
from distilbert.torch.language_modelling import MaskedWords, Teacher
from distilbert.torch.processes import Alone
from distilbert.torch.relations import relation_sum
from distilbert.torch.train import _accumulate, _Learner, _optimiser, judge, set_dropout, train
from distilbert.torch.vocabulary import through_vocabulary

RECIPE = LanguageModelling(batch_size=12, micro_batch_size=12, max_length=32, min_length=3, precision="fp32")
TERMS = ("masked_lm", "distribution", "jensen_shannon", "logits_error", "cosine")
ALONE = Alone(torch.device("cpu"))
EVERY = slice(0, None, 1)


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


@pytest.fixture(scope="module")
def exact(parts):
    """The same in float64, in which the order of a sum is not to be seen."""
    teacher, *others = parts
    return deepcopy(teacher).double(), *others


def objective_of(parts, recipe: LanguageModelling, *, teachers: tuple[float, ...] = (1.0,)) -> MaskedWords:
    teacher, tokenizer, data = parts
    layers = choose_layers(2, of=teacher.config.n_layers)
    student = masked_language_model(student_config(teacher.config, layers=range(2)))
    student.assign(cut(teacher.config, teacher.arrays(), layers))
    set_dropout(student, 0.0)
    student.to(teacher.dtype)
    return MaskedWords(student, [Teacher(teacher, weight) for weight in teachers], data, tokenizer, recipe)


def first_step(objective: MaskedWords, share: slice = EVERY):
    return next(objective.steps(0, share))


def sums_of(objective: MaskedWords, batch) -> dict[str, float]:
    scales = {name: 1.0 for name, weight in objective.weights.items() if weight}
    with torch.no_grad():
        return {name: float(value) for name, value in objective.losses(batch, scales)[1].items()}


def gradients(objective: MaskedWords, recipe: LanguageModelling) -> dict[str, torch.Tensor]:
    weights = {name: weight for name, weight in objective.weights.items() if weight}
    objective.model.zero_grad()
    _accumulate(_Learner(objective), weights, first_step(objective), recipe, ALONE)
    return {n: p.grad.clone() for n, p in objective.model.named_parameters() if p.grad is not None}


def assert_alike(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert expected.keys() == found.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("positions", ["masked", "masked+20%", "all"])
@pytest.mark.parametrize("micro_batch_size", [1, 5, 7])
def test_splitting_a_step_changes_no_gradient(exact, positions: str, micro_batch_size: int) -> None:
    whole = RECIPE.with_changes(positions=positions, jensen_shannon_weight=1.0, logits_error_weight=0.1)
    split = whole.with_changes(micro_batch_size=micro_batch_size)
    assert_alike(gradients(objective_of(exact, split), split), gradients(objective_of(exact, whole), whole))


def test_a_mean_of_means_would_change_it(parts) -> None:
    """The wrong variant: each micro-batch divided by its own count, as the original does."""
    split = RECIPE.with_changes(micro_batch_size=4)
    expected = gradients(objective_of(parts, RECIPE), RECIPE)
    objective = objective_of(parts, split)
    batches = first_step(objective)
    for batch in batches:
        scales = {n: w / batch.counts[n] / len(batches) for n, w in objective.weights.items() if w}
        objective.losses(batch, scales)[0].backward()
    found = {n: p.grad for n, p in objective.model.named_parameters() if p.grad is not None}
    assert max(float((found[n] - g).abs().max()) for n, g in expected.items()) > 1e-3


def test_processes_share_a_step(exact) -> None:
    """What each of three would learn from adds up to what one does; one of them may have nothing to do."""
    for size, batch_size in ((5, 12), (1, 12), (12, 2)):
        recipe = RECIPE.with_changes(micro_batch_size=size, batch_size=batch_size)
        expected = gradients(objective_of(exact, recipe), recipe)
        objective = objective_of(exact, recipe)
        shares = [first_step(objective, slice(rank, None, 3)) for rank in range(3)]
        assert len({len(share) for share in shares if share}) == 1, "as many parts in every process"
        counts = {n: sum(b.counts[n] for share in shares for b in share) for n in objective.weights}
        scales = {n: w / counts[n] for n, w in objective.weights.items() if w}
        learner = _Learner(objective)
        for share in shares:
            for batch in share or [None]:
                learner(batch, scales)[0].backward()
        assert_alike({n: p.grad for n, p in objective.model.named_parameters()}, expected)


def test_a_run_that_goes_on_reads_what_it_would_have_read(parts) -> None:
    objective = objective_of(parts, RECIPE)
    steps = objective.steps(0, EVERY)
    ids = [[batch.given["texts"].input_ids for batch in next(steps)] for _ in range(25)]
    assert len(objective.learnt) / RECIPE.batch_size < 25, "into another epoch"
    for done in (0, 1, 9, 10, 11, 24):
        again = [batch.given["texts"].input_ids for batch in next(objective.steps(done, EVERY))]
        assert all(np.array_equal(a, b) for a, b in zip(again, ids[done], strict=True))
    assert not np.array_equal(ids[0][0], ids[10][0]), "words are hidden anew in every epoch"


def numpy_losses(student, teacher, labels, temperature: float) -> dict[str, float]:
    scored = labels != IGNORED_LABEL
    own, other = (np.exp(reference.log_softmax(x / temperature)) for x in (student, teacher))
    mean = (own + other) / 2
    apart = student - teacher
    return {
        "masked_lm": reference.cross_entropy(student[scored], labels[scored]).sum(),
        "distribution": reference.distribution_loss(student, teacher, temperature).sum(),
        "jensen_shannon": temperature**2 * sum((p * np.log(p / mean)).sum() for p in (own, other)) / 2,
        "logits_error": apart.var(axis=-1).sum(),
    }


@pytest.mark.parametrize("teachers", [(1.0,), (0.25, 0.75)])
@pytest.mark.parametrize(("positions", "special"), [("masked", False), ("all", False), ("all", True)])
def test_the_losses_are_the_references(parts, positions: str, special: bool, teachers) -> None:
    """The whole step in plain numpy, text by text, from the same hidden words."""
    weights = {f"{name}_weight": 1.0 for name in TERMS}
    recipe = RECIPE.with_changes(positions=positions, special_positions=special, **weights)
    objective, teacher, data = objective_of(parts, recipe, teachers=teachers), parts[0], parts[2]
    (batch,) = first_step(objective)
    _, rows = next(endless_batches(data.lengths, batch_size=recipe.batch_size, seed=recipe.seed))
    states, logits, labels, words = ([], []), ([], []), [], []
    for row in rows:
        hidden, told = objective.masking(data[row], sequence_rng(recipe.seed, 0, int(row)))
        labels.append(told)
        words.append(~np.isin(data[row], objective.special_ids))
        for i, model in enumerate((objective.model, teacher)):
            live = np.ones((1, len(hidden)), bool)
            found = reference.encode(model.config, model.arrays(), hidden[None], live).last_hidden_state
            states[i].append(found[0])
            logits[i].append(reference.masked_lm_logits(model.config, model.arrays(), found)[0])
    labels, words = np.concatenate(labels), np.concatenate(words)
    student, taught = (np.concatenate(x) for x in logits)
    heard = words | special
    compared = heard if positions == "all" else labels != IGNORED_LABEL
    expected = numpy_losses(student[compared], taught[compared], labels[compared], recipe.temperature)
    at = [np.concatenate(x)[heard] for x in states]
    expected["cosine"] = reference.cosine_loss(*at).sum()
    assert sums_of(objective, batch) == pytest.approx(expected, rel=2e-5)
    counts = {**dict.fromkeys(TERMS, compared.sum()), "masked_lm": (labels != IGNORED_LABEL).sum()}
    for name in TERMS:
        assert batch.counts[name] == (heard.sum() if name == "cosine" else counts[name])


def test_a_share_of_the_other_words(parts) -> None:
    """Some tenth of them, always the same ones, and all of the hidden ones."""
    together = {"batch_size": 100, "micro_batch_size": 100}
    few, many = (
        objective_of(parts, RECIPE.with_changes(positions=f"masked+{share}%", **together))
        for share in (10, 60)
    )
    hidden = objective_of(parts, RECIPE.with_changes(**together))
    batches = [first_step(objective)[0] for objective in (hidden, few, many)]
    at = [set(batch.given["compared"].tolist()) for batch in batches]
    assert at[0] < at[1] < at[2] < set(batches[0].given["heard"].tolist())
    others = len(batches[0].given["heard"]) - len(at[0])
    # The other 15 % are hidden; within four standard deviations of a share of some 900 words.
    assert len(at[1] - at[0]) / others == pytest.approx(0.1, abs=0.04)
    assert len(at[2] - at[0]) / others == pytest.approx(0.6, abs=0.065)
    assert all(
        np.array_equal(b.given["texts"].input_ids, batches[0].given["texts"].input_ids) for b in batches
    )


@pytest.mark.parametrize("name", TERMS)
def test_a_term_of_no_weight_costs_nothing(parts, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = RECIPE.with_changes(**{f"{n}_weight": 0.0 for n in TERMS})
    recipe = recipe.with_changes(**{f"{name}_weight": 1.0})
    objective = objective_of(parts, recipe)
    calls = []
    teacher = parts[0]
    monkeypatch.setattr(teacher, "token_logits", lambda h: calls.append("logits") or h.new_zeros(len(h), 52))
    hook = teacher.bert.register_forward_pre_hook(lambda *_: calls.append("teacher"))
    monkeypatch.setattr(
        objective.model, "before_vocabulary", lambda h: calls.append("words") or h.new_zeros(len(h), 32)
    )
    assert list(sums_of(objective, first_step(objective)[0])) == [name]
    hook.remove()
    assert calls == {"masked_lm": ["words"], "cosine": ["teacher"]}.get(name, ["teacher", "words", "logits"])


def test_the_teacher_is_asked_as_it_is_and_learns_nothing(parts) -> None:
    teacher = parts[0]
    teacher.train()
    objective = objective_of(parts, RECIPE)
    assert not teacher.training
    gradients(objective, RECIPE)
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_a_student_of_all_layers_has_nothing_to_learn_from_its_teacher(parts) -> None:
    teacher, tokenizer, data = parts
    weights = {f"{name}_weight": 1.0 for name in TERMS}
    recipe = RECIPE.with_changes(**{**weights, "masked_lm_weight": 0.0})
    student = masked_language_model(student_config(teacher.config, layers=range(4)))
    student.assign(cut(teacher.config, teacher.arrays(), range(4)))
    objective = MaskedWords(student.eval(), [Teacher(teacher)], data, tokenizer, recipe)
    (batch,) = first_step(objective)
    found = sums_of(objective, batch)
    assert set(found) == set(TERMS) - {"masked_lm"}
    for name, value in found.items():
        assert value / batch.counts[name] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("piece", [1, 7, 64])
def test_pieces_of_the_vocabulary_give_the_whole_gradient(
    piece: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against autograd over all logits at once; the weight's gradient is summed a few words at a time."""
    monkeypatch.setattr("distilbert.torch.vocabulary._SUMMED", 4)
    torch.manual_seed(0)
    x_TD = torch.randn(23, 5, dtype=dtype, requires_grad=True)
    projector = torch.nn.Linear(5, 11).to(dtype)
    truth_TV = torch.randn(23, 11, dtype=dtype)
    seen = []

    def score(logits_TV: torch.Tensor, rows: slice) -> torch.Tensor:
        seen.append(len(logits_TV))
        return (logits_TV.softmax(-1) * truth_TV[rows]).sum() + 0.1 * logits_TV.square().sum()

    given = (x_TD, projector.weight, projector.bias)
    whole = 3 * score(projector(x_TD), slice(0, 23))
    expected = torch.autograd.grad(whole, given)
    seen.clear()
    found = 3 * through_vocabulary(projector, x_TD, score, piece=piece)
    assert max(seen) <= piece
    assert sum(seen) == 23
    tolerance = {"atol": 1e-10, "rtol": 1e-10} if dtype == torch.float64 else {"atol": 1e-5, "rtol": 1e-5}
    torch.testing.assert_close(found, whole, **tolerance)
    for one, other in zip(torch.autograd.grad(found, given), expected, strict=True):
        torch.testing.assert_close(one, other, **tolerance)


def relations_by_hand(q: np.ndarray, heads: int) -> np.ndarray:
    """Shares [heads, S, S] of one text's queries (or keys, or values) [S, D]."""
    split = q.reshape(len(q), heads, -1).transpose(1, 0, 2)
    return np.exp(reference.log_softmax(split @ split.transpose(0, 2, 1) / split.shape[-1] ** 0.5))


@pytest.mark.parametrize("heads", [1, 2, 8])
def test_relations_are_those_of_each_text_alone(heads: int) -> None:
    """By hand, text by text, of models of different widths and heads."""
    own, other = (
        scattered(DistilBertConfig(vocab_size=20, dim=dim, n_heads=n, n_layers=1, hidden_dim=16))
        for dim, n in ((16, 2), (24, 3))
    )
    lengths = [3, 3, 5, 1]
    x, y = torch.randn(12, 16), torch.randn(12, 24)
    found = relation_sum((own, x), (other, y), lengths, heads=heads)
    expected, start = 0.0, 0
    for length in lengths:
        at = slice(start, start := start + length)
        for name in ("q_lin", "k_lin", "v_lin"):
            with torch.no_grad():
                mine, theirs = (getattr(a, name)(h[at]).double().numpy() for a, h in ((own, x), (other, y)))
            p, q = relations_by_hand(theirs, heads), relations_by_hand(mine, heads)
            expected += (p * np.log(p / q)).sum() / heads / 3
    assert float(found.detach()) == pytest.approx(expected, rel=1e-4)
    assert float(relation_sum((own, x), (own, x), lengths, heads=heads).detach()) == pytest.approx(
        0, abs=1e-5
    )
    whole = relation_sum((own, x), (other, y), [12], heads=heads)
    assert abs(float(whole.detach()) - expected) > 1e-2 * expected, "texts do not look at each other"


def scattered(config: DistilBertConfig):
    torch.manual_seed(config.dim)
    attention = SdpaAttention(config, layer=0)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.normal_(0, 0.5)
    return attention


def test_widths_that_relations_cannot_be_split_into(parts) -> None:
    recipe = RECIPE.with_changes(relation_weight=1.0, relation_heads=5)
    with pytest.raises(ConfigError, match="relation_heads=5, widths 32 and 32.*16, 32"):
        objective_of(parts, recipe)
    with pytest.raises(ConfigError, match="relation_layer=4"):
        objective_of(parts, RECIPE.with_changes(relation_weight=1.0, relation_layer=4))


@pytest.mark.parametrize("kind", ["error", "cosine"])
@pytest.mark.parametrize("layers", ["uniform", "last", ((0, 3), (1, 0))])
def test_layers_are_compared_with_the_teachers(parts, kind: str, layers) -> None:
    recipe = RECIPE.with_changes(hidden_weight=1.0, hidden_loss=kind, hidden_layers=layers)
    objective, teacher = objective_of(parts, recipe), parts[0]
    (batch,) = first_step(objective)
    with torch.no_grad():
        own, other = (
            model.encoder(batch.given["texts"], output_hidden_states=True).hidden_states
            for model in (objective.model, teacher)
        )
    known = {"uniform": [(1, 2), (2, 4)], "last": [(2, 4), (1, 3)]}
    pairs = known[layers] if isinstance(layers, str) else [(1, 4), (2, 1)]
    at, expected = batch.given["heard"].numpy(), []
    for i, j in pairs:
        x, y = (states.double().numpy()[at] for states in (own[i], other[j]))
        each = reference.cosine_loss(x, y) if kind == "cosine" else ((x - y) ** 2).mean(-1)
        expected.append(each.sum())
    assert sums_of(objective, batch)["hidden"] == pytest.approx(np.mean(expected), rel=1e-4)


def test_a_narrower_student_is_widened_by_what_learns_with_it(parts) -> None:
    teacher, tokenizer, data = parts
    config = DistilBertConfig(
        vocab_size=teacher.config.vocab_size, dim=16, n_heads=2, n_layers=2, hidden_dim=32,
        max_position_embeddings=teacher.config.max_position_embeddings,
    )  # fmt: skip
    alone = {f"{name}_weight": 0.0 for name in TERMS}
    for name in ("hidden", "relation", "cosine", "distribution"):
        recipe = RECIPE.with_changes(**{**alone, f"{name}_weight": 1.0}, learning_rate=1e-2, warmup_share=0.0)
        torch.manual_seed(0)
        objective = MaskedWords(masked_language_model(config), [Teacher(teacher)], data, tokenizer, recipe)
        (widen,) = (parameter for parameter in objective.extra.parameters())
        assert widen.shape == (32, 16)
        torch.testing.assert_close(widen.T @ widen, torch.eye(16), atol=1e-5, rtol=0)
        before = widen.detach().clone()
        (batch,) = first_step(objective)
        start = sums_of(objective, batch)
        train(objective, recipe, total_steps=100, stage="test")
        assert sums_of(objective, batch)[name] < 0.97 * start[name], name
        assert torch.equal(widen, before) == (name in ("relation", "distribution"))
        assert not [name for name, _ in objective.model.named_parameters() if "extra" in name]


def test_what_is_fixed_of_the_vocabulary_has_no_gradient() -> None:
    x_TD, projector = torch.randn(3, 5, requires_grad=True), torch.nn.Linear(5, 11).requires_grad_(False)
    through_vocabulary(projector, x_TD, lambda logits, _: logits.square().sum()).backward()
    assert projector.weight.grad is None
    assert x_TD.grad is not None
    empty = through_vocabulary(projector, x_TD[:0], lambda logits, _: logits.sum())
    assert float(empty.detach()) == 0.0
    empty.backward()


def test_what_is_held_out_is_not_learnt_and_judges_both(parts) -> None:
    teacher, tokenizer, data = parts
    objective = objective_of(parts, RECIPE)
    objective = MaskedWords(objective.model.eval(), [Teacher(teacher)], data, tokenizer, RECIPE, held_out=20)
    assert sorted([*objective.learnt, *objective.held_out]) == list(range(len(data)))
    told = [next(objective.steps(done, EVERY)) for done in range(9)]
    learnt = np.concatenate([b.given["texts"].input_ids.ravel() for step in told for b in step])
    assert len(learnt) == data.lengths[objective.learnt].sum(), "an epoch is all that is not held out"
    sums, counts = {}, {}
    for rank in range(2):
        for found, of in objective.judged(slice(rank, None, 2)):
            for name, value in found.items():
                sums[name] = sums.get(name, 0.0) + float(value)
                counts[name] = counts.get(name, 0) + of[name]
    student_TV, teacher_TV, labels_T = [], [], []
    for row in objective.held_out:
        hidden, labels = objective.masking(data[row], sequence_rng(RECIPE.seed, 2**31, int(row)))
        for told, model in ((student_TV, objective.model), (teacher_TV, teacher)):
            with torch.no_grad():
                told.append(model.eval()(torch.tensor(hidden[None]).long()).logits[0].double().numpy())
        labels_T.append(labels)
    labels = np.concatenate(labels_T)
    at = labels != IGNORED_LABEL
    student, other = np.concatenate(student_TV)[at], np.concatenate(teacher_TV)[at]
    expected = {
        "masked_lm": reference.cross_entropy(student, labels[at]).mean(),
        "teacher_masked_lm": reference.cross_entropy(other, labels[at]).mean(),
        "distribution": reference.distribution_loss(student, other, 1.0).mean(),
        "accuracy": (student.argmax(-1) == labels[at]).mean(),
        "agreement": (student.argmax(-1) == other.argmax(-1)).mean(),
    }
    assert {name: sums[name] / counts[name] for name in sums} == pytest.approx(expected, rel=1e-5)


def test_words_that_are_hidden_whole_are_judged_by_the_word(parts) -> None:
    """Of a model that learns alone: the nats of a word's pieces added up, and divided by the words."""
    teacher, tokenizer, data = parts
    objective = MaskedWords(teacher.eval(), [], data, tokenizer, RECIPE, held_out=20)
    assert objective._whole_words.unit == "word"
    # The tiny language has no pieces; let some of its words be such.
    continues = np.zeros(teacher.config.vocab_size, bool)
    continues[25:40] = True
    masking = replace(objective._whole_words, continues=continues)
    objective.__dict__["_whole_words"] = masking
    nats = words = tokens = 0
    for row in objective.held_out:
        ids = data[row]
        hidden, labels = masking(ids, sequence_rng(RECIPE.seed, 2**31, int(row)))
        with torch.no_grad():
            logits = teacher(torch.tensor(hidden[None]).long()).logits[0].double().numpy()
        at = np.flatnonzero(labels != IGNORED_LABEL)
        nats += reference.cross_entropy(logits[at], labels[at]).sum()
        words += sum(not continues[ids[i]] or ids[i - 1] in objective.special_ids for i in at)
        tokens += len(at)
    assert words < tokens, "some words have several pieces"
    log = TrainingLog()
    judge(objective, RECIPE, log, 7, ALONE)
    (look,) = log.judged
    assert look["masked_words"] == pytest.approx(nats / words, rel=1e-5)
    assert look["masked_word_perplexity"] == pytest.approx(np.exp(nats / words), rel=1e-4)
    assert look["masked_token_perplexity"] == pytest.approx(np.exp(look["masked_lm"]))
    taught = MaskedWords(objective.model, [Teacher(teacher)], data, tokenizer, RECIPE, held_out=20)
    judge(taught, RECIPE, log, 8, ALONE)
    assert "masked_words" not in log.judged[1], "a second look is the price of it"


def test_the_work_of_a_step_is_counted_however_it_is_split(parts) -> None:
    """Against PyTorch's own count of a forward and backward pass over texts without padding."""
    from torch.utils.flop_counter import FlopCounterMode

    teacher, _, data = parts
    found = []
    for size in (12, 5):
        recipe = RECIPE.with_changes(micro_batch_size=size, cosine_weight=0.0)
        objective = objective_of(parts, recipe)
        batches = first_step(objective)
        found.append((sum(batch.tokens for batch in batches), sum(batch.flops for batch in batches)))
        rows = next(endless_batches(data.lengths, batch_size=12, seed=0))[1]
        assert found[-1][0] == data.lengths[rows].sum()
        for model in (objective.model, teacher):
            model.set_attention("eager")
        with FlopCounterMode(display=False) as counter:
            gradients(objective, recipe)
        for model in (objective.model, teacher):
            model.set_attention("sdpa")
        assert counter.get_total_flops() == pytest.approx(found[-1][1], rel=1e-9)
    assert found[0] == pytest.approx(found[1])


def test_the_schedule_rises_and_falls_in_straight_lines() -> None:
    factor = triangle(RECIPE.with_changes(warmup_share=0.2), 10)
    rates = [factor(step) for step in range(11)]
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert rates[2:] == pytest.approx(np.linspace(1, 0, 9))
    flat = triangle(RECIPE.with_changes(warmup_share=0.0), 4)
    assert [flat(step) for step in range(5)] == [1.0, 0.75, 0.5, 0.25, 0.0]


def test_biases_and_norms_do_not_decay_and_new_weights_learn_faster(parts) -> None:
    objective = objective_of(parts, RECIPE)
    recipe = RECIPE.with_changes(weight_decay=0.1, learning_rate=1e-3, new_weights_rate=5.0)
    new = {"vocab_transform.weight", "vocab_transform.bias"}
    optimiser = _optimiser(objective, recipe, new)
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
    log = train(objective, recipe, total_steps=steps, stage="test", **options)
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
    assert {name: told[-1][3][name] for name in ("masked_lm", "distribution", "cosine")} == {
        name: log.losses[name][-1] for name in ("masked_lm", "distribution", "cosine")
    }
    assert told[-1][3]["tokens/s"] == pytest.approx(sum(log.tokens[-10:]) / sum(log.seconds[-10:]))
    assert "MFU %" not in told[-1][3], "a processor's peak is not known"
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


def test_the_peak_is_of_the_device_and_the_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    gpu = torch.device("cuda")
    assert peak_flops(gpu, "auto") == peak_flops(gpu, "bf16") == 989e12
    assert peak_flops(gpu, "fp32") is None
    assert peak_flops(torch.device("cpu"), "bf16") is None


def test_frozen_positions_stay(parts) -> None:
    objective = objective_of(parts, RECIPE)
    positions = objective.model.distilbert.embeddings.position_embeddings.weight.requires_grad_(False)
    before = positions.clone()
    train(objective, RECIPE, total_steps=3, stage="test")
    assert torch.equal(positions, before)


@pytest.mark.parametrize("kept", [0, 4])
def test_a_loss_that_is_not_finite_stops_the_run(parts, kept: int, tmp_path: Path) -> None:
    """It names the step, the terms and the last good checkpoint, which holds the weights of before."""
    objective = objective_of(parts, RECIPE)
    saved = {}

    class Keeper:
        def restore(self, course) -> None:
            pass

        def keep(self, course, randomness) -> Path:
            saved[course.done] = {n: p.detach().clone() for n, p in objective.model.named_parameters()}
            return tmp_path / f"at-{course.done}"

    ordinary = objective.losses
    calls = []

    def poisoned(batch, scales):
        calls.append(1)
        total, sums = ordinary(batch, scales)
        return (
            (total, {**sums, "cosine": sums["cosine"] * float("nan")}) if len(calls) == 6 else (total, sums)
        )

    objective.losses = poisoned
    with pytest.raises(TrainingError) as stopped:
        train(
            objective,
            RECIPE.with_changes(checkpoint_every=kept or 100),
            total_steps=9,
            stage="test",
            keeper=Keeper(),
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
        train(objective, recipe, total_steps=3, stage="test")
    assert norms == pytest.approx([1e-3] * 3, rel=1e-3)


def test_compiled_feed_forwards_give_the_same_losses(parts) -> None:
    """They do run compiled, while the run lasts and no longer."""
    exact = run(parts, RECIPE, total_steps=4)[1]
    compiled = []
    ordinary = torch.compile

    def watched(*args, **options):
        compiled.append(options)
        return ordinary(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", watched)
        model, log = run(parts, RECIPE.with_changes(compile=True), total_steps=4)
    assert compiled == [{"dynamic": True}] * 2, "one a layer of the student"
    assert log.losses["total"] == pytest.approx(exact.losses["total"], rel=1e-5)
    assert all(module._compiled_call_impl is None for module in model.modules())
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 1


def test_compiling_without_a_compiler(parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(ConfigError, match="needs a C\\+\\+ compiler"):
        run(parts, RECIPE.with_changes(compile=True))
