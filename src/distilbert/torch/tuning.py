"""A search for a better recipe: many short runs, the weak ones ended early, by Ray Tune.

What is tried is drawn here, from a seed, and what came of it is written down here, line by line: a search
that was interrupted goes on with what it has not tried yet, and reads nothing but these lines.
"""

import importlib.util
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from distilbert.core import rules
from distilbert.core.copies import fingerprint_of, refuse_other_notes
from distilbert.core.files import make_folder, write_atomically, write_json
from distilbert.core.progress import Progress, silent
from distilbert.core.recipe import Finetuning
from distilbert.core.search import USUAL, described, draw, space_of
from distilbert.core.tasks.metrics import lower_is_better, require_metrics
from distilbert.core.tasks.reading import Table, as_examples, task_named
from distilbert.core.tasks.sentence_embedding import judging
from distilbert.core.tasks.splitting import USUAL_SHARE, split
from distilbert.errors import ConfigError, MissingExtraError, OutputError, TrainingError
from distilbert.torch.pruning import WORST, pruning

#: Files of a search's folder: what is searched, what was tried, and the best recipe.
SEARCH_FILE, TRIALS_FILE, RECIPE_FILE = "search.json", "trials.jsonl", "recipe.toml"


@dataclass(frozen=True)
class Trial:
    """One run of a search.

    Attributes:
        number: in the order in which they were drawn; 0 is the recipe that was begun with.
        changes: of that recipe.
        looks: the figure that decides, look by look.
        best: of them; None where the run failed.
        state: "finished", "pruned" or "failed".
        seconds: that it took.
    """

    number: int
    changes: dict[str, Any]
    looks: list[float] = field(default_factory=list)
    best: float | None = None
    state: str = "finished"
    seconds: float = 0.0


@dataclass(frozen=True)
class Search:
    """What a search found.

    Attributes:
        metric: that decided.
        lowest: whether the least of it is the best.
        trials: all of them, in their order.
        begun_with: the recipe that trials change.
        recipe: the best one.
        space: what was searched, in words.
    """

    metric: str
    lowest: bool
    trials: list[Trial]
    begun_with: Finetuning
    recipe: Finetuning
    space: dict[str, str]

    @property
    def ranked(self) -> list[Trial]:
        """The best first; those that failed last."""
        sign = 1 if self.lowest else -1
        return sorted(self.trials, key=lambda t: (t.best is None, sign * (t.best or 0.0), t.number))

    def facts(self) -> dict[str, Any]:
        best = self.ranked[0]
        return {
            "metric": self.metric,
            "lowest": self.lowest,
            "space": self.space,
            "begun_with": self.begun_with.facts(),
            "trials": [vars(trial) for trial in self.trials],
            "best": best.number,
            "recipe": self.recipe.facts(),
        }


def tune(
    model: str | Path,
    train: Table,
    *,
    out: str | Path,
    evaluate: Table | None = None,
    task: str | None = None,
    space: Mapping[str, Any] | None = None,
    trials: int = 16,
    prune: bool = True,
    recipe: Finetuning | str | Path = "default",
    at_once: int = 1,
    address: str | None = None,
    budget: float | None = None,
    device: str = "auto",
    force: bool = False,
    resume: bool = False,
    progress: Progress = silent,
) -> Search:
    """Search a recipe for fine-tuning a model, and write it into a folder.

    Args:
        model: as of ``Finetuner``; on a cluster, a place that all machines reach.
        train: examples to learn from.
        out: the folder for ``recipe.toml``, ``trials.jsonl`` and ``search.json``.
        evaluate: examples to judge by; None holds a tenth of ``train`` out, the same for all trials.
        task: its name; None tells it from the examples.
        space: by field, a pair (low, high) as a tuple, or a list of values; None is the usual one.
        trials: how many recipes are tried; the first one is ``recipe`` itself.
        prune: end trials early that are behind others of the same age (ASHA, Li et al. 2020); else all run to
            their end.
        recipe: what is not searched; its seed decides what is drawn.
        at_once: trials that run at the same time.
        address: of a Ray cluster; None uses this machine.
        budget: seconds after which no trial is begun or goes on.
        device: "auto", "cpu", "cuda" or "mps".
        force: begin anew, although a search stands there.
        resume: go on with it; trials that had not ended begin anew.
        progress: told of every trial that ends.

    Raises:
        ConfigError: a field that cannot be searched, or another search to resume.
        DataError: examples that cannot be used.
        MissingExtraError: Ray is not installed.
        OutputError: the folder is taken, or cannot be written.
        TrainingError: no trial came to anything.
    """
    if importlib.util.find_spec("ray") is None:
        raise MissingExtraError.of("ray", wanted="A search for a recipe", missing="ray")
    require_metrics()
    rules.integer(1)("trials", trials)
    rules.integer(1)("at_once", at_once)
    base = recipe if isinstance(recipe, Finetuning) else Finetuning.read(recipe)
    searched = space_of(USUAL if space is None else space)
    known = as_examples(train, task=task, source="the training data")
    kind = task_named(known.task).of(known)
    if evaluate is None:
        share = USUAL_SHARE if base.eval_share is None else base.eval_share
        known, judged = split(known, share=share, seed=base.seed)
    else:
        judged = as_examples(evaluate, task=kind.name, source="the evaluation data")
    if judged is None or not base.looks_per_epoch:
        raise ConfigError(
            "Recipes are compared by looks at examples that are not learnt from.",
            received="none" if judged is None else "looks_per_epoch=0",
            remedy="Give a table to judge by (--eval), and leave --looks-per-epoch as it is.",
        )
    metric = base.best_by or next(iter(judging(kind, judged).metrics))
    lowest = lower_is_better(metric)
    tried = draw(searched, trials=trials, seed=base.seed)
    noted = {
        "model": str(model),
        "examples": fingerprint_of([known.columns, judged.columns]),
        "space": described(searched),
        "metric": metric,
        "recipe": base.facts(),
    }
    folder = Path(out).resolve()
    ended = _begin(folder, json.loads(json.dumps(noted)), resume=resume, force=force)
    place = str(Path(model).resolve()) if Path(model).exists() else str(model)
    before, sign = list(ended.values()), -1.0 if lowest else 1.0
    left = [number for number in range(trials) if number not in ended]
    given = {
        "model": place,
        "train": known,
        "judged": judged,
        "recipe": base.facts(),
        "metric": metric,
        "sign": sign,
        "device": device,
    }

    def note(trial: Trial) -> None:
        ended[trial.number] = trial
        with (folder / TRIALS_FILE).open("a") as file:
            file.write(json.dumps(vars(trial)) + "\n")
        progress("tune", len(ended), trials, {} if trial.best is None else {metric: trial.best})

    progress("tune", len(ended), trials, {})
    if left:
        _run(
            {number: tried[number] for number in left}, given, note,
            scheduled=(lambda: pruning(before, sign=sign)) if prune else None,
            at_once=at_once, address=address, budget=budget, device=device,
        )  # fmt: skip
    done = [ended[number] for number in sorted(ended)]
    if not any(trial.best is not None for trial in done):
        raise TrainingError(
            "A search needs a trial that comes to its first look.",
            received=f"{len(done)} trials, none of which did",
            remedy="Give more time, lower the learning rates that are searched, or try one run: finetune.",
        )
    found = Search(metric, lowest, done, base, base, described(searched))
    best = base.with_changes(**found.ranked[0].changes)
    write_atomically(folder / RECIPE_FILE, best.as_toml().encode())
    return replace(found, recipe=best)


def _begin(folder: Path, noted: dict[str, Any], *, resume: bool, force: bool) -> dict[int, Trial]:
    """The folder of a search, new or to go on with, and the trials that have ended in it."""
    ours = (SEARCH_FILE, TRIALS_FILE, RECIPE_FILE)
    there = folder / SEARCH_FILE
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not there.is_file())):
        raise OutputError(
            "The output folder must be new or empty, or hold a search.",
            received=f"{folder}, which holds something else",
            remedy="Choose another folder.",
        )
    if there.is_file() and not (resume or force):
        raise OutputError(
            "A search that stands there must be resumed or given up.",
            received=str(folder),
            remedy="Add --resume (resume=True) to go on with it, or --force (force=True) to begin anew.",
        )
    if there.is_file() and resume:
        refuse_other_notes("search", there, noted)
        return _read_trials(folder / TRIALS_FILE)
    make_folder(folder)
    for name in ours:
        (folder / name).unlink(missing_ok=True)
    write_json(there, noted)
    return {}


def _read_trials(path: Path) -> dict[int, Trial]:
    """The trials that were written down; a line that a crash has halved is passed over."""
    ended: dict[int, Trial] = {}
    if path.is_file():
        whole = path.read_text().split("\n")
        for line in whole:
            try:
                trial = Trial(**json.loads(line))
            except (ValueError, TypeError):
                continue
            ended[trial.number] = trial
        # What a crash has halved must not run into the next line.
        write_atomically(path, "".join(json.dumps(vars(t)) + "\n" for t in ended.values()).encode())
    return ended


def _run(
    tried: Mapping[int, dict[str, Any]],
    given: Mapping[str, Any],
    note: Callable[[Trial], None],
    *,
    scheduled: Callable[[], Any] | None,
    at_once: int,
    address: str | None,
    budget: float | None,
    device: str,
) -> None:
    """Have Ray run the trials, and hear of each when it has ended."""
    # What is run, and for how long, is nobody else's to know.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Only the command line speaks, and Ctrl-C is its own.
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
    import ray
    import torch
    from ray import tune as ray_tune

    class Hearing(ray_tune.Callback):
        """Writes down what each trial came to."""

        def __init__(self) -> None:
            self.looks: dict[int, list[float]] = {}

        def __reduce__(self) -> Any:
            # Ray keeps copies of a search's parts, which nobody reads here; this one talks to the caller.
            return ray_tune.Callback, ()

        def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **_: Any) -> None:
            if "look" in result:
                self.looks.setdefault(trial.config["trial"], []).append(result["look"])

        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
            self._end(trial)

        def on_trial_error(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
            self._end(trial, failed=True)

        def _end(self, trial: Any, *, failed: bool = False) -> None:
            number, last = trial.config["trial"], trial.last_result or {}
            looks = self.looks.get(number, [])
            best = given["sign"] * max(given["sign"] * look for look in looks) if looks else None
            if not last.get("ended") and not failed and budget and time.monotonic() - started > budget:
                return  # it was the time that ended it
            state = (
                "failed" if failed or last.get("failed") else "finished" if last.get("ended") else "pruned"
            )
            note(Trial(number, tried[number], looks, best, state, round(last.get("time_total_s", 0.0), 2)))

    started, own = time.monotonic(), not ray.is_initialized()
    if own:
        cpus = None if address else max(os.cpu_count() or 1, at_once)
        ray.init(
            address=address or "local", num_cpus=cpus, include_dashboard=None if address else False,
            log_to_driver=False, configure_logging=False,
        )  # fmt: skip
    try:
        cores = 1 if address else max(1, (os.cpu_count() or 1) // at_once)
        resources: dict[str, float] = {"cpu": cores}
        if device in ("auto", "cuda") and torch.cuda.is_available():
            resources["gpu"] = min(1.0, torch.cuda.device_count() / at_once)
        with tempfile.TemporaryDirectory(prefix="distilbert-tune-") as storage:
            shared = {**given, "scratch": storage, "threads": cores}
            run = ray_tune.with_parameters(_trial, given=shared, tried=dict(tried))
            ray_tune.Tuner(
                ray_tune.with_resources(run, resources),
                param_space={"trial": ray_tune.grid_search(list(tried))},
                tune_config=ray_tune.TuneConfig(
                    scheduler=scheduled and scheduled(), max_concurrent_trials=at_once,
                    time_budget_s=budget,
                ),
                run_config=ray_tune.RunConfig(
                    name="search", storage_path=storage, callbacks=[Hearing()], verbose=0
                ),
            ).fit()  # fmt: skip
    finally:
        if own:
            ray.shutdown()


def _trial(config: dict[str, Any], *, given: dict[str, Any], tried: dict[int, Any]) -> None:
    """One run, in a process of Ray's: every look is reported, and nothing is kept."""
    import torch
    from ray import tune as ray_tune

    from distilbert.torch.finetune import Finetuner

    torch.set_num_threads(given["threads"])
    best = WORST

    def told(look: Mapping[str, float]) -> None:
        nonlocal best
        best = max(best, given["sign"] * look[given["metric"]])
        ray_tune.report({"look": look[given["metric"]], "best": best})

    base = {name: _as_given(value) for name, value in given["recipe"].items()}
    recipe = Finetuning(**base).with_changes(**tried[config["trial"]])
    # A trial that is pruned ends without cleaning up: what it leaves goes with the search's own files.
    scratch = given["scratch"] if Path(given["scratch"]).is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="distilbert-trial-", dir=scratch))
    failed = False
    try:
        Finetuner(given["model"], recipe=recipe, device=given["device"], on_look=told).run(
            given["train"], evaluate=given["judged"], out=folder / "model"
        )
    except TrainingError:
        failed = True
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    ray_tune.report({"best": best, "ended": True, "failed": failed})


def _as_given(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
