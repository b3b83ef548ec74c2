"""Our models and tokenizers under the peer's Trainer and data collators: what the peer's own come to."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from peer import peer_of
from tiny import TEXTS, tiny, tokenizers
from transformers import (
    DataCollatorForLanguageModeling,
    DataCollatorForMultipleChoice,
    DataCollatorForTokenClassification,
    DataCollatorForWholeWordMask,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    default_data_collator,
    set_seed,
)

import distilbert

#: fp32 against fp32: differences of rounding grow with each of four steps, which Adam makes equally long.
ATOL = 1e-4


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    return tokenizers(tmp_path_factory.mktemp("vocabulary"))


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A precision that one run has chosen is accelerate's for the whole process."""
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def classified(tokenizer: Any, labels: Callable[[int], Any] = lambda i: i % 2) -> list[dict[str, Any]]:
    return [{**tokenizer(text), "labels": labels(i)} for i, text in enumerate(TEXTS * 2)]


def masked(tokenizer: Any) -> list[dict[str, Any]]:
    return [dict(tokenizer(text)) for text in TEXTS * 2]


def tagged(tokenizer: Any) -> list[dict[str, Any]]:
    rows = masked(tokenizer)
    return [{**row, "labels": [-100, *(i % 2 for i in row["input_ids"][1:])]} for row in rows]


def answered(tokenizer: Any) -> list[dict[str, Any]]:
    # Full rows: our loss leaves padding out of where an answer may be, and the peer's does not.
    texts = [" ".join([text] * 12) for text in TEXTS] * 2
    rows = [tokenizer("it is bad", text, truncation="only_second", max_length=12) for text in texts]
    return [{**row, "start_positions": 5, "end_positions": 6 + i % 2} for i, row in enumerate(rows)]


def chosen(tokenizer: Any) -> list[dict[str, Any]]:
    rows = [tokenizer([text, text], ["rare charm", "no"]) for text in TEXTS * 2]
    return [{**row, "labels": i % 2} for i, row in enumerate(rows)]


#: The class, its rows, what puts rows together, and what the configuration says besides.
JOBS: dict[str, tuple[str, Callable[[Any], Any], Callable[[Any], Any], dict[str, Any]]] = {
    "masks": (
        "MaskedLM", masked, lambda t: DataCollatorForLanguageModeling(t, mlm_probability=0.5, seed=0), {},
    ),
    "whole words": (
        "MaskedLM", masked, lambda t: DataCollatorForWholeWordMask(t, mlm_probability=0.5, seed=0), {},
    ),
    "classes": ("SequenceClassification", classified, DataCollatorWithPadding, {}),
    "regression": (
        "SequenceClassification", lambda t: classified(t, lambda i: i / 10), DataCollatorWithPadding,
        {"num_labels": 1},
    ),
    "several classes": (
        "SequenceClassification", lambda t: classified(t, lambda i: [float(i % 2), 1.0]),
        DataCollatorWithPadding, {"problem_type": "multi_label_classification"},
    ),
    "tags": ("TokenClassification", tagged, DataCollatorForTokenClassification, {"num_labels": 3}),
    "answers": ("QuestionAnswering", answered, lambda t: default_data_collator, {}),
    "choices": ("MultipleChoice", chosen, DataCollatorForMultipleChoice, {}),
}  # fmt: skip


class Noted(Trainer):
    """Keeps the loss of every batch, which the log rounds to four decimals."""

    def training_step(self, *given: Any, **named: Any) -> torch.Tensor:
        loss = super().training_step(*given, **named)
        self.noted = [*getattr(self, "noted", []), float(loss)]
        return loss


def trainer(model: Any, tokenizer: Any, rows: Any, collate: Any, folder: Path, **how: Any) -> Noted:
    arguments = TrainingArguments(
        str(folder),
        **{
            "max_steps": 4,
            "per_device_train_batch_size": 3,
            "logging_steps": 1,
            "learning_rate": 3e-3,
            "lr_scheduler_type": "constant",
            "save_strategy": "no",
            "report_to": [],
            "use_cpu": True,
            "disable_tqdm": True,
            **how,
        },
    )
    return Noted(
        model,
        arguments,
        train_dataset=rows,
        eval_dataset=rows,
        data_collator=collate,
        processing_class=tokenizer,
    )


def job(name: str, both: tuple[Any, Any], folder: Path, **how: Any) -> tuple[Noted, Noted]:
    """Our model with our tokenizer, and the peer's with the peer's, trained alike from the same weights."""
    head, rows, collate, fields = JOBS[name]
    model = tiny(f"DistilBertFor{head}", vocab_size=len(both[0]), **fields)
    runs = []
    for which, tokenizer in zip((model, peer_of(model)), both, strict=True):
        run = trainer(which, tokenizer, rows(tokenizer), collate(tokenizer), folder, **how)
        set_seed(0)
        run.train()
        runs.append(run)
    return runs[0], runs[1]


@pytest.mark.filterwarnings("ignore:DataCollatorForWholeWordMask:UserWarning")  # of the peer's tokenizer too
@pytest.mark.parametrize("name", JOBS)
def test_every_job_trains_as_the_peer_does(name: str, both: tuple[Any, Any], tmp_path: Path) -> None:
    ours, theirs = job(name, both, tmp_path)
    assert ours.noted == pytest.approx(theirs.noted, abs=ATOL)
    assert len(ours.noted) == 4
    assert abs(ours.noted[0] - ours.noted[-1]) > 10 * ATOL  # what is equal has moved
    found = []
    for run in (ours, theirs):
        set_seed(0)  # collators draw masks
        found.append(run.predict(run.eval_dataset))
    assert found[0].metrics["test_loss"] == pytest.approx(found[1].metrics["test_loss"], abs=ATOL)
    for what in ("predictions", "label_ids"):
        arrays = [getattr(predicted, what) for predicted in found]
        arrays = [array if isinstance(array, tuple) else (array,) for array in arrays]
        assert [array.shape for array in arrays[0]] == [array.shape for array in arrays[1]]


@pytest.mark.parametrize("name", ["classes", "tags"])
def test_accumulated_steps_count_as_the_peers(name: str, both: tuple[Any, Any], tmp_path: Path) -> None:
    ours, theirs = job(name, both, tmp_path, gradient_accumulation_steps=2, per_device_train_batch_size=2)
    assert ours.model_accepts_loss_kwargs is theirs.model_accepts_loss_kwargs is False
    assert ours.noted == pytest.approx(theirs.noted, abs=ATOL)
    norms = [[x["grad_norm"] for x in run.state.log_history if "grad_norm" in x] for run in (ours, theirs)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)


def test_half_precision_recomputation_and_grouped_lengths(both: tuple[Any, Any], tmp_path: Path) -> None:
    how = {"bf16": True, "gradient_checkpointing": True, "group_by_length": True}
    ours, theirs = job("classes", both, tmp_path, **how)
    assert ours.model.is_gradient_checkpointing
    # bfloat16 keeps 8 bits of every product, and the peer rounds those of padding too.
    assert ours.noted == pytest.approx(theirs.noted, abs=0.05)


@pytest.mark.parametrize("name", ["classes", "masks"])
def test_a_run_is_saved_and_resumed(name: str, both: tuple[Any, Any], tmp_path: Path) -> None:
    head, rows, collate, _ = JOBS[name]
    how = {"save_strategy": "steps", "save_steps": 2, "eval_strategy": "steps", "eval_steps": 2,
           "load_best_model_at_end": True, "max_steps": 6}  # fmt: skip
    tokenizer = both[0]
    model = tiny(f"DistilBertFor{head}", vocab_size=len(tokenizer))

    def run(start: Any, folder: Path) -> Noted:
        torch.manual_seed(0)
        return trainer(start, tokenizer, rows(tokenizer), collate(tokenizer), folder, **how)

    whole = run(model, tmp_path / "whole")
    whole.train()
    saved = tmp_path / "whole" / "checkpoint-2"
    assert (saved / "model.safetensors").exists()
    assert distilbert.DistilBertTokenizerFast.from_pretrained(saved).get_vocab() == tokenizer.get_vocab()
    again = run(tiny(f"DistilBertFor{head}", vocab_size=len(tokenizer)), tmp_path / "again")
    again.train(resume_from_checkpoint=str(saved))
    if name == "classes":  # a collator that draws masks starts anew
        assert again.noted == pytest.approx(whole.noted[-len(again.noted) :], abs=ATOL)
    assert again.state.global_step == 6
    best = Path(whole.state.best_model_checkpoint)
    kept = type(model).from_pretrained(best, config=model.config)
    for one, other in zip(kept.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_what_a_run_saves_becomes_a_model_folder(both: tuple[Any, Any], tmp_path: Path) -> None:
    """Trainer writes ``config.json`` of its own classes alone: ours is asked to write itself."""
    ours, _ = job("classes", both, tmp_path / "run")
    folder = tmp_path / "model"
    ours.save_model(str(folder))
    assert not (folder / "config.json").exists()
    ours.model.save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["model_type"] == "distilbert"
    model = distilbert.AutoModelForSequenceClassification.from_pretrained(folder)
    given = distilbert.AutoTokenizer.from_pretrained(folder)(TEXTS[0], return_tensors="pt")
    with torch.no_grad():
        assert torch.equal(model(**given).logits, ours.model.eval()(**given).logits)


def test_noise_on_embeddings_is_of_rows(both: tuple[Any, Any], tmp_path: Path) -> None:
    """It is measured from [B, S, D], which texts laid end to end have not."""
    _, rows, collate, fields = JOBS["classes"]
    model = tiny("DistilBertForSequenceClassification", vocab_size=len(both[0]), **fields)
    model.set_attention("sdpa", packing=False)
    run = trainer(model, both[0], rows(both[0]), collate(both[0]), tmp_path, neftune_noise_alpha=5)
    assert torch.isfinite(torch.tensor(run.train().training_loss))
