"""What does a distillation that never holds the vocabulary's logits gain, in memory and in time?

One step, forward and backward without the optimiser, of a 12x768 teacher and a 6x768 student with random
weights over 32 rows of 128 tokens: ours, as the default recipe has it (the teacher's distribution at hidden
words) and with ``positions="all"``, against the plain formulation in the peer's models, with logits for all
positions of both as in the published training code, its softmax in float32. Masks and weights are the same.

  python benchmarks/distillation.py            seven rounds, some ten minutes on two cores
  python benchmarks/distillation.py --quick    8 rows, three rounds
"""

import argparse
import statistics
import tempfile
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from measuring import Work, apart, conclude, in_turn, peak_bytes, peer, row, say, table
from torch.nn import functional as F

from distilbert import BertConfig, BertForMaskedLM, DistilBertConfig, DistilBertForMaskedLM, LanguageModelling
from distilbert.core.config import IGNORED_LABEL
from distilbert.torch.device import autocast
from distilbert.torch.language_modelling import MaskedWords, Teacher

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
LENGTH, FIRST_WORD = 128, 1000
SPECIAL = SimpleNamespace(all_special_ids=(0, 100, 101, 102, 103), mask_token_id=103)
PRECISIONS = ("bf16", "fp32")
OURS, EVERYWHERE, PLAIN = "ours, hidden words", "ours, all words", "plain, in transformers"


class Rows(list[Any]):
    """Random words between [CLS] and [SEP], as a corpus gives them."""

    def __init__(self, count: int) -> None:
        rng = np.random.default_rng(0)
        words = rng.integers(FIRST_WORD, 30_000, (count, LENGTH - 2), dtype=np.int32)
        super().__init__(np.concatenate([[101], row, [102]]).astype(np.int32) for row in words)
        self.rows, self.lengths = list(self), np.full(count, LENGTH)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="8 rows, three rounds")
    args = parser.parse_args()
    count, rounds = (8, 3) if args.quick else (32, 7)
    say("memory, in a process of its own")
    peaks = apart(memory, count)
    rows, shown = [], []
    for precision in PRECISIONS:
        say(f"{precision}: time")
        work = contestants(count, precision)
        for run in work.values():
            run()
        times = in_turn(work, rounds=rounds)
        speed = {name: count * LENGTH / statistics.median(found) for name, found in times.items()}
        for name in (OURS, EVERYWHERE):
            targets = (1.8, 3.0) if (name, precision) == (OURS, "bf16") else (1.0, 1.0)
            case = f"{name}: {precision}, {count} x {LENGTH}" + (", quick" if args.quick else "")
            peak = {key: peaks[precision][key] / 1e6 for key in (name, PLAIN)}
            rows += [
                row(case, "tokens_per_s", speed[name], PLAIN, speed[PLAIN], target=targets[0], more=True),
                row(case, "peak_mb", peak[name], PLAIN, peak[PLAIN], target=targets[1]),
            ]
        for name, found in times.items():
            each = [b / a for a, b in zip(found, times[PLAIN], strict=True)]
            shown.append(
                [f"{precision}, {name}", f"{statistics.median(found):.2f}", f"{speed[name]:.0f}",
                 f"{speed[name] / speed[PLAIN]:.2f}", f"{min(each):.2f}-{max(each):.2f}",
                 f"{peaks[precision][name] / 1e6:.0f}",
                 f"{peaks[precision][PLAIN] / peaks[precision][name]:.2f}"]
            )  # fmt: skip
    print(f"A step of {count} x {LENGTH} tokens, medians of {rounds} rounds; peaks beyond the weights")
    table(("", "s", "tokens/s", "times plain", "by round", "MB", "times less"), shown)
    for made in rows:
        if made["target"] > 1:
            print(
                f"{made['case']}, {made['metric']}: {made['ratio']:.2f} times plain (target {made['target']})"
            )
    conclude("distillation", rows, ("torch", "transformers", "numpy"))


def contestants(count: int, precision: str) -> dict[str, Work]:
    transformers = peer()
    torch.manual_seed(0)
    data = Rows(count)
    with tempfile.TemporaryDirectory() as folder:
        student, teacher = Path(folder) / "student", Path(folder) / "teacher"
        DistilBertForMaskedLM(DistilBertConfig()).save_pretrained(student)
        BertForMaskedLM(BertConfig()).save_pretrained(teacher)
        taught = BertForMaskedLM.from_pretrained(teacher).to(DEVICE)
        work: dict[str, Work] = {}
        for name, positions in ((OURS, "masked"), (EVERYWHERE, "all")):
            recipe = LanguageModelling(
                positions=positions, batch_size=count, micro_batch_size=count, precision=precision
            )
            model = DistilBertForMaskedLM.from_pretrained(student).to(DEVICE).train()
            objective = MaskedWords(model, [Teacher(taught)], data, SPECIAL, recipe)
            (batch,) = next(objective.steps(0, slice(0, None, 1)))
            work[name] = partial(step, objective, batch, recipe)
        (hidden, labels) = hidden_rows(objective, data)
        peers = (
            transformers.DistilBertForMaskedLM.from_pretrained(student).to(DEVICE).train(),
            transformers.BertForMaskedLM.from_pretrained(teacher).to(DEVICE).eval(),
        )
    work[PLAIN] = partial(plain, *peers, hidden, labels, recipe)
    return work


def hidden_rows(objective: MaskedWords, data: Rows) -> tuple[torch.Tensor, torch.Tensor]:
    pairs = [objective.masking(row, np.random.default_rng(i)) for i, row in enumerate(data)]
    ids, labels = (torch.from_numpy(np.stack(part).astype(np.int64)) for part in zip(*pairs, strict=True))
    return ids.to(DEVICE), labels.to(DEVICE)


def step(objective: MaskedWords, batch: Any, recipe: LanguageModelling) -> None:
    scales = {name: weight / batch.counts[name] for name, weight in objective.weights.items() if weight}
    with autocast(DEVICE, recipe.precision):
        loss, _ = objective.losses(batch, scales)
    loss.backward()
    objective.model.zero_grad()


def plain(
    student: Any, teacher: Any, ids: torch.Tensor, labels: torch.Tensor, recipe: LanguageModelling
) -> None:
    mask, temperature = torch.ones_like(ids), recipe.temperature
    with autocast(DEVICE, recipe.precision):
        own = student(ids, mask, output_hidden_states=True)
        with torch.no_grad():
            other = teacher(ids, mask, output_hidden_states=True)
        kl = F.kl_div(
            F.log_softmax(own.logits.flatten(0, 1).float() / temperature, dim=-1),
            F.softmax(other.logits.flatten(0, 1).float() / temperature, dim=-1),
            reduction="batchmean",
        )
        mlm = F.cross_entropy(own.logits.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED_LABEL)
        states = (own.hidden_states[-1].flatten(0, 1), other.hidden_states[-1].flatten(0, 1))
        cosine = F.cosine_embedding_loss(*states, torch.ones(ids.numel(), device=DEVICE))
        loss = (
            recipe.distribution_weight * temperature**2 * kl
            + recipe.masked_lm_weight * mlm
            + recipe.cosine_weight * cosine
        )
    loss.backward()
    student.zero_grad()


def memory(count: int) -> dict[str, dict[str, float]]:
    """Peaks beyond the weights, in bytes: the least of two."""
    found = {}
    for precision in PRECISIONS:
        work = contestants(count, precision)
        for run in work.values():
            run()
        found[precision] = {name: min(peak_bytes(run) for _ in range(2)) for name, run in work.items()}
    return found


if __name__ == "__main__":
    main()
