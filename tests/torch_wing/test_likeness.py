"""What vectors cost: by hand and by the peer; and that the parts of a contrastive step are the step."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import scatter
from safetensors.torch import load_file
from small_files import WORDS, write_teacher
from task_files import together, write_rows
from tiny import tiny_config
from torch import Tensor

from distilbert import DistilBertModel, DistilBertTokenizerFast, Finetuning
from distilbert.core.data.readers import OwnReader
from distilbert.core.data.token_rows import TokenRows
from distilbert.core.pooling import Dense, Normalize, Pooling
from distilbert.core.sentence_folders import SentenceModules
from distilbert.core.tasks.reading import as_examples
from distilbert.core.tasks.sentence_embedding import SentenceEmbedding
from distilbert.core.training_log import TrainingLog
from distilbert.torch.closeness import (
    contrastive_losses,
    cosine_error_sum,
    margin_sum,
    vector_cosine_sum,
    vector_error_sum,
)
from distilbert.torch.likeness import Likeness
from distilbert.torch.processes import Alone
from distilbert.torch.selecting import Selection
from distilbert.torch.train import _accumulate, _Learner

ROWS = 5


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype("f4"))


def cosine(one: Any, other: Any) -> Any:
    one, other = np.asarray(one, float), np.asarray(other, float)
    return (one * other).sum(-1) / np.linalg.norm(one, axis=-1) / np.linalg.norm(other, axis=-1)


ANCHORS, NEAR, FAR = drawn(ROWS, 7), drawn(ROWS, 7, seed=1), drawn(ROWS, 7, seed=2)
OWN, OTHERS = torch.arange(ROWS), ROWS + torch.arange(2 * ROWS)


def test_the_contrastive_loss_by_hand() -> None:
    candidates = torch.cat([NEAR, FAR])
    found = contrastive_losses(ANCHORS, candidates, OWN, OTHERS, scale=20.0)
    scores = 20 * np.array([[cosine(a, c) for c in candidates] for a in ANCHORS])
    likelihoods = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    np.testing.assert_allclose(found, -np.diag(likelihoods[:, :ROWS]), rtol=1e-5)
    for wrong in (
        contrastive_losses(ANCHORS, candidates, OWN, OTHERS, scale=1.0),
        contrastive_losses(ANCHORS, NEAR, OWN, OTHERS[:ROWS], scale=20.0),
        contrastive_losses(NEAR, torch.cat([ANCHORS, FAR]), OWN, OTHERS, scale=20.0),
    ):
        assert (wrong - found).abs().max() > 1e-2


def test_the_same_words_are_no_wrong_answer() -> None:
    """Where two rows are about one text, neither is wrong for the other."""
    near = NEAR.clone()
    near[3] = near[1]
    texts = OTHERS[:ROWS].clone()
    texts[3] = texts[1]
    found = contrastive_losses(ANCHORS, near, OWN, texts, scale=20.0)
    kept = [0, 1, 2, 4]
    alone = contrastive_losses(ANCHORS[kept], near[kept], OWN[kept], texts[kept], scale=20.0)
    np.testing.assert_allclose(found[1], alone[1], rtol=1e-5)
    counted = contrastive_losses(ANCHORS, near, OWN, OTHERS[:ROWS], scale=20.0)
    assert counted[1] > found[1] + 0.1
    # An anchor among the candidates is none either.
    texts[2] = OWN[0]
    assert contrastive_losses(ANCHORS, near, OWN, texts, scale=20.0)[0] < found[0]


def test_the_cosine_and_margin_losses_by_hand() -> None:
    scores = torch.tensor([0.1, float("nan"), 0.9, -0.3, 1.0])
    errors = (cosine(ANCHORS, NEAR) - scores.numpy()) ** 2
    assert float(cosine_error_sum(ANCHORS, NEAR, scores)) == pytest.approx(np.nansum(errors), rel=1e-5)
    assert float(cosine_error_sum(ANCHORS, FAR, scores)) != pytest.approx(np.nansum(errors), rel=1e-2)
    failed = np.maximum(0, 0.2 + cosine(ANCHORS, FAR) - cosine(ANCHORS, NEAR))
    assert 0 < np.count_nonzero(failed) < ROWS
    assert float(margin_sum(ANCHORS, NEAR, FAR, margin=0.2)) == pytest.approx(failed.sum(), rel=1e-5)
    assert float(margin_sum(ANCHORS, FAR, NEAR, margin=0.2)) != pytest.approx(failed.sum(), rel=1e-2)
    apart = ((ANCHORS - NEAR) ** 2).sum()
    assert float(vector_error_sum(ANCHORS, NEAR)) == pytest.approx(float(apart), rel=1e-5)
    angles = (1 - cosine(ANCHORS, NEAR)).sum()
    assert float(vector_cosine_sum(ANCHORS, NEAR)) == pytest.approx(angles, rel=1e-5)


def test_the_losses_are_the_peers() -> None:
    losses = pytest.importorskip(
        "sentence_transformers.sentence_transformer.losses", reason="the peer is not installed"
    )
    nobody = torch.nn.Module()
    ranking = losses.MultipleNegativesRankingLoss(nobody).compute_loss_from_embeddings
    found = contrastive_losses(ANCHORS, torch.cat([NEAR, FAR]), OWN, OTHERS, scale=20.0).mean()
    torch.testing.assert_close(found, ranking([ANCHORS, NEAR, FAR], None))
    metric = losses.TripletDistanceMetric.COSINE
    triplet = losses.TripletLoss(nobody, distance_metric=metric, triplet_margin=0.2)
    found = margin_sum(ANCHORS, NEAR, FAR, margin=0.2) / ROWS
    torch.testing.assert_close(found, triplet.compute_loss_from_embeddings([ANCHORS, NEAR, FAR], None))


# Steps.


def objective(loss: str, *, dropout: float = 0.0, taught: bool = False, unlabelled: int = 0, **changes: Any):
    """What a small model learns by from ten rows, two of which share a text."""
    torch.manual_seed(0)
    model = scatter(DistilBertModel(tiny_config(vocab_size=len(WORDS), dropout=dropout))).train()
    rows = together(10 + unlabelled, seed=4)
    rows[4]["positive"] = rows[7]["positive"]
    examples = as_examples(rows[:10])
    rng = np.random.default_rng(0)
    dense = Dense(rng.normal(size=(6, 32)).astype("f4") / 6, None, "Tanh")
    modules = SentenceModules(Pooling(("mean",)), (dense, Normalize()))
    task = SentenceEmbedding(modules, loss)
    reader = OwnReader(DistilBertTokenizerFast({word: number for number, word in enumerate(WORDS)}))
    made: TokenRows = task.encode(reader, examples, max_length=24)
    if unlabelled:
        more = as_examples([{"text": row["anchor"]} for row in rows[10:]], task=task.name)
        made = made.followed_by(task.encode(reader, more, max_length=24))
    counts = np.diff(made.starts)
    soft = [rng.normal(size=(n, 6)).astype("f4") for n in counts] if taught else None
    recipe = Finetuning(
        **{
            "batch_size": 10,
            "micro_batch_size": 10,
            "unlabelled_batch_size": 4,
            "precision": "fp32",
            **changes,
        }
    )
    targets = task.targets(examples, made, source="")
    return Likeness.of(task, model, made, 10, targets, soft, recipe)


def gradients(lesson: Likeness) -> tuple[dict[str, float], list[Tensor]]:
    """A step's mean losses, and the gradient of everything that learns."""
    weights = {name: weight for name, weight in lesson.weights.items() if weight}
    torch.manual_seed(3)
    batches = next(lesson.steps(0, slice(0, None, 1)))
    means, _ = _accumulate(_Learner(lesson), weights, batches, lesson.recipe, Alone(torch.device("cpu")))
    learning = [*lesson.model.parameters(), *lesson.extra.parameters()]
    return means, [p.grad.clone() for p in learning if p.grad is not None]


@pytest.mark.parametrize("loss", ["contrastive", "margin"])
@pytest.mark.parametrize("more", [{}, {"taught": True, "unlabelled": 6, "vector_loss": "error"}])
@pytest.mark.parametrize("size", [1, 4])
def test_the_parts_of_a_step_are_the_step(loss: str, more: dict[str, Any], size: int) -> None:
    whole, expected = gradients(objective(loss, **more, micro_batch_size=64))
    means, found = gradients(objective(loss, **more, micro_batch_size=size))
    assert means == pytest.approx(whole, rel=1e-5)
    assert len(found) == len(expected) > 30
    largest = max(float(gradient.abs().max()) for gradient in expected)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5 * largest, rtol=1e-4)


def test_parts_that_know_only_themselves_would_be_another_step() -> None:
    whole, expected = gradients(objective("contrastive"))
    lesson = objective("contrastive", micro_batch_size=4)
    items = np.concatenate([batch.given["items"] for batch in next(lesson.steps(0, slice(0, None, 1)))])
    total = 0.0
    for part in np.array_split(items, 3):
        known = lesson._known(lesson._vectors(part), part)
        total = total + lesson._contrastive(known, part).sum() / len(items)
    total.backward()
    assert abs(float(total.detach()) - whole["labels"]) > 0.1 * whole["labels"]
    learning = [*lesson.model.parameters(), *lesson.extra.parameters()]
    apart = [
        (p.grad - other).abs().max() / other.abs().max()
        for p, other in zip((p for p in learning if p.grad is not None), expected, strict=True)
        if other.abs().max() > 1e-6
    ]
    assert max(apart) > 0.1


def test_both_passes_over_a_part_draw_the_same_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient is of the vectors whose cost was found, and not of others."""
    lesson = objective("contrastive", dropout=0.3, micro_batch_size=4)
    seen: list[Tensor] = []
    ordinary = Likeness._vectors

    def noted(self: Likeness, items: Any) -> Tensor:
        vectors = ordinary(self, items)
        seen.append(vectors.detach())
        return vectors

    monkeypatch.setattr(Likeness, "_vectors", noted)
    gradients(lesson)
    assert len(seen) == 6
    for first, second in zip(seen[:3], seen[3:], strict=True):
        torch.testing.assert_close(first, second, atol=0, rtol=0)
    seen.clear()
    monkeypatch.setattr("distilbert.torch.likeness.set_random_state", lambda state, device: None)
    gradients(objective("contrastive", dropout=0.3, micro_batch_size=4))
    assert (seen[0] - seen[3]).abs().max() > 1e-3, "they were dropped alike"


def test_a_dense_layer_is_what_the_folder_computes() -> None:
    lesson = objective("contrastive")
    vectors = drawn(4, 32)
    np.testing.assert_allclose(
        lesson.extra(vectors).detach(), lesson.extra.learnt().finish(vectors.numpy()), atol=1e-6
    )


def test_the_weights_that_are_kept_are_those_of_dense_layers_too() -> None:
    lesson = objective("contrastive")
    figures = iter([0.5, 0.9, 0.1])
    selection = Selection(
        lesson.model, lambda: {"spearman": next(figures)}, 1, "spearman", extra=lesson.extra
    )
    log, seen = TrainingLog(), []
    for step in (1, 2, 3):
        with torch.no_grad():
            for parameter in lesson.extra.parameters():
                parameter.add_(step)
        selection.look(log, step, 3, Alone(torch.device("cpu")))
        seen.append(lesson.task.modules.finish(drawn(4, 32).numpy()))
    selection.put_back()
    kept = lesson.task.modules.finish(drawn(4, 32).numpy())
    np.testing.assert_array_equal(kept, seen[1])
    assert np.abs(seen[1] - seen[2]).max() > 1e-6


@pytest.mark.parametrize("batch_size", [9, 1])
def test_two_processes_learn_what_one_does(batch_size: int, tmp_path: Path) -> None:
    """A text is compared with those of the other process too; of a step of one row one process has none."""
    pytest.importorskip("accelerate")
    write_teacher(tmp_path / "bert", layers=1)
    write_rows(tmp_path / "train.jsonl", together(28, seed=1))
    recipe = Finetuning(
        steps=4, batch_size=batch_size, micro_batch_size=3, max_length=24, dropout=0.0, precision="fp32",
        pair_loss="contrastive", learning_rate=5e-3, adam_eps=0.1, max_grad_norm=1e3,
    )  # fmt: skip
    (tmp_path / "recipe.json").write_text(json.dumps(recipe.facts()))
    command = ["finetune", "--model", "bert", "--train", "train.jsonl", "--recipe", "recipe.json",
               "--device", "cpu", "--json", "--out"]  # fmt: skip
    alone = [sys.executable, "-m", "distilbert", *command, "alone"]
    several = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port",
               str(20000 + os.getpid() % 20000), "-m", "distilbert", *command, "both"]  # fmt: skip
    facts = []
    for arguments in (alone, several):
        done = subprocess.run(
            arguments, capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        facts.append(json.loads(done.stdout))
    losses = [fact["training"]["final_losses"]["labels"] for fact in facts]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("alone", "both"))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=1e-6, rtol=1e-5)
