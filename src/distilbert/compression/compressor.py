"""The whole as one job: a teacher, texts and a target in, the smallest folder that meets it out, proven."""

import logging
import shutil
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from distilbert.compression import work as works
from distilbert.compression.candidates import Beginnings, shapes
from distilbert.compression.data import Data
from distilbert.compression.finishing import Finished, facts_of, finish
from distilbert.compression.general import General
from distilbert.compression.halving import Halving, Trained, rank
from distilbert.compression.hearing import Heard, hear, require_base
from distilbert.compression.measuring import Figure
from distilbert.compression.plan import Plan, budgeted, nearest, speedup, survey
from distilbert.compression.proof import prove, write_proof
from distilbert.compression.remedies import remedies
from distilbert.compression.target import Target, Term
from distilbert.compression.work import Work
from distilbert.core import rules
from distilbert.core.config import read_config
from distilbert.core.files import write_atomically
from distilbert.core.output import new_folder, refuse_taken
from distilbert.core.progress import Progress, silent
from distilbert.core.recipe import Finetuning
from distilbert.core.sentence_folders import encoder_folder
from distilbert.core.tasks.metrics import require_metrics
from distilbert.core.tasks.reading import Table
from distilbert.core.teachers.targets import Teacher
from distilbert.report.charts import require_charts
from distilbert.report.compression import compression_page

logger = logging.getLogger(__name__)

#: The page in the folder.
REPORT_FILE = "report.html"

#: Candidates that are made ready and compared as they will answer.
_FINALISTS = 2

#: Making one ready takes up to so many times what measuring it untrained did: what the gate refuses in 8 bits
#: is tried again with one more layer in fp32 each time.
_FINISHING = 8.0


@dataclass(frozen=True)
class Compressed:
    """What came of it.

    Attributes:
        folder: the model, with its proof.
        figures: by term, on the rows that decide.
        unmet: terms of the target that it does not keep.
        facts: all of the proof.
    """

    folder: Path
    figures: dict[str, Figure]
    unmet: tuple[Term, ...]
    facts: dict[str, Any]

    @property
    def met(self) -> bool:
        return not self.unmet


@dataclass(frozen=True)
class _Begun:
    """A run that is ready to train."""

    data: Data
    heard: Heard
    halving: Halving
    plan: Plan


class Compressor:
    """Makes of a teacher the smallest model that meets a target.

    Args:
        teacher: whoever teaches, as of a ``Finetuner``: a fine-tuned folder of any family, of classes a file
            of labels or any ``Teacher``.
        target: such as ``"agreement>=0.98, p50<=5ms, size<=40MB"``.
        base: the BERT or DistilBERT that students are cut from; None for the teacher, where it is one.
        layers, dims: sizes to try; None for shares of the base's own.
        vocabulary: "trimmed" to the texts where that takes a tenth of it or more away, or "whole".
        runtimes: to try, of ``optimize``; None for those that are installed.
        recipe: of the trainings, a ``Finetuning``; the budget says how long they are, its ``steps`` at most.
        device: that is trained on: "auto", "cpu", "cuda" or "mps".
        seconds: that speed is measured, of each.
        seed: of all that is drawn.
        progress: told of every stage.

    Raises:
        ConfigError: a target that cannot be, or a teacher that nothing can be cut from and no base.
    """

    def __init__(
        self,
        teacher: str | Path | Teacher,
        *,
        target: str | Target,
        base: str | Path | None = None,
        layers: Collection[int] | None = None,
        dims: Collection[int] | None = None,
        vocabulary: str = "trimmed",
        runtimes: Collection[str] | None = None,
        recipe: Finetuning | str | Path = "default",
        device: str = "auto",
        seconds: float = 2.0,
        seed: int = 0,
        progress: Progress = silent,
    ) -> None:
        self.target = Target.parse(target)
        self.teacher = teacher
        self.base = require_base(teacher, base)
        self.layers, self.dims, self.runtimes = layers, dims, runtimes
        self.vocabulary = rules.one_of(("trimmed", "whole"))("vocabulary", vocabulary)
        given = recipe if isinstance(recipe, Finetuning) else Finetuning.read(recipe)
        self.recipe = replace(given, seed=rules.integer(0)("seed", seed))
        self.device = device
        self.seconds = rules.number(0, 3600)("seconds", seconds)
        self.seed, self.progress = seed, progress

    def plan(
        self,
        train: Table,
        *,
        out: str | Path,
        budget: float,
        texts: Iterable[str] | Table = (),
        evaluate: Table | None = None,
        force: bool = False,
        resume: bool = False,
    ) -> Plan:
        """What ``run`` would do, given the same; its measurements are kept beside ``out`` for ``resume``.

        Raises:
            ConfigError, DataError: what cannot be compressed, in a sentence.
        """
        data = self._data(train, texts, evaluate)
        with works.claimed(out, self._noted(data, budget), resume=resume, force=force) as work:
            return self._begin(data, budget, work).plan

    def run(
        self,
        train: Table,
        *,
        out: str | Path,
        budget: float,
        texts: Iterable[str] | Table = (),
        evaluate: Table | None = None,
        force: bool = False,
        resume: bool = False,
        command: str = "",
        price: float | None = None,
    ) -> Compressed:
        """Plan, train, make ready, choose, prove, write the folder: what meets the target, or the nearest.

        Args:
            train: labelled rows.
            out: the folder.
            budget: seconds for the whole.
            texts: without labels, of which only the teacher's answers are learnt.
            evaluate: labelled rows that are held out: half of them choose, half decide. None holds a fifth
                of ``train`` out.
            force: replace a model at ``out``, and give up what an interrupted run left.
            resume: go on where one was interrupted, with the same plan.
            command: that the proof names.
            price: of an hour of this machine, for the report.

        Raises:
            ConfigError: a task that is not compressed, terms that contradict each other, a budget too short.
            DataError: too few rows, or a teacher that knows nothing or never says a label.
            OutputError: ``out`` is taken, or a run was interrupted that is neither resumed nor given up.
            TrainingError: a loss that is no number.
        """
        require_metrics()
        require_charts()
        data = self._data(train, texts, evaluate)
        with works.claimed(out, self._noted(data, budget), resume=resume, force=force) as work:
            begun = self._begin(data, budget, work)
            rungs = begun.halving.run(begun.plan)
            finished = [self._finish(one, begun, work) for one in _finalists(rungs)]
            best = min(finished, key=lambda one: rank(one.figures, one.figures["size"].value, self.target))
            done = self._prove(best, finished, begun, rungs, work, command=command, price=price)
            # Only what is whole takes the place of what stood there.
            refuse_taken(Path(out).resolve(), force=force)
            with new_folder(out, force=force) as folder:
                shutil.copytree(best.folder, folder, dirs_exist_ok=True)
            works.discard(work)
        return replace(done, folder=Path(out))

    def _data(self, train: Table, texts: Iterable[str] | Table, evaluate: Table | None) -> Data:
        return Data.of(train, texts, evaluate=evaluate, target=self.target, seed=self.seed)

    def _noted(self, data: Data, budget: float) -> dict[str, Any]:
        """What tells a run from another one."""
        named = isinstance(self.teacher, str | Path)
        return {
            "teacher": str(self.teacher) if named else type(self.teacher).__name__,
            "base": str(self.base),
            "target": str(self.target),
            "budget": budget,
            "layers": sorted(self.layers) if self.layers else None,
            "dims": sorted(self.dims) if self.dims else None,
            "vocabulary": self.vocabulary,
            "runtimes": sorted(self.runtimes) if self.runtimes else None,
            "recipe": self.recipe.facts(),
            "data": data.facts(),
        }

    def _begin(self, data: Data, budget: float, work: Work) -> _Begun:
        """All but the training; a plan that is kept is not made again."""
        begun = Beginnings(self.base, data.texts(), work.folder, seed=self.seed, progress=self.progress)
        kept = work.kept("plan")
        heard = hear(
            self.teacher,
            data,
            self.target,
            work=work.folder,
            device=self.device,
            seconds=self.seconds,
            kept={name: Figure(**one) for name, one in kept["teacher"].items()} if kept else None,
            progress=self.progress,
        )
        general = General(
            self.base,
            begun,
            data.texts(),
            work.folder,
            recipe=self.recipe,
            device=self.device,
            progress=self.progress,
        )
        halving = Halving(
            begun,
            data,
            heard,
            self.target,
            general=general,
            recipe=self.recipe,
            work=work,
            device=self.device,
            progress=self.progress,
        )
        if kept:
            return _Begun(data, heard, halving, Plan.from_dict(kept["plan"]))
        looked_at = shapes(
            read_config(encoder_folder(self.base)),
            trimmed=self.vocabulary == "trimmed" and begun.worth_trimming(),
            layers=self.layers,
            dims=self.dims,
        )
        before = work.spent
        rows = survey(
            looked_at,
            begun,
            data.task,
            data.choosing,
            self.target,
            max_length=self.recipe.max_length,
            runtimes=self.runtimes,
            teacher=heard.figures,
            seconds=self.seconds,
            progress=self.progress,
        )
        finishing = _FINISHING * (work.spent - before) / len(looked_at)
        if all(row.dropped for row in rows):
            rows = nearest(rows, self.target)
        left = Plan(tuple(rows)).shapes
        pace = halving.pace(left)
        reading = general.pace(left) if general.worth_it() else {}
        plan = budgeted(
            rows,
            pace,
            budget=budget,
            spent=work.spent,
            finishing=finishing,
            most=self.recipe.steps,
            reading=reading,
        )
        work.keep(
            "plan",
            {"plan": plan.as_dict(), "teacher": {name: one.as_dict() for name, one in heard.figures.items()}},
        )
        return _Begun(data, heard, halving, plan)

    def _finish(self, trained: Trained, begun: _Begun, work: Work) -> Finished:
        return finish(
            trained,
            begun.plan,
            begun.data,
            begun.heard,
            work=work,
            seed=self.seed,
            seconds=self.seconds,
            progress=self.progress,
        )

    def _prove(
        self,
        best: Finished,
        finished: Sequence[Finished],
        begun: _Begun,
        rungs: Sequence[Sequence[Trained]],
        work: Work,
        *,
        command: str,
        price: float | None,
    ) -> Compressed:
        """Measure what is chosen on rows that had no part in it, and write what was found into its folder."""
        data, heard = begun.data, begun.heard
        said = heard.said["deciding"]
        figures, times, lines = prove(
            best.folder, data.deciding, said, seed=self.seed, seconds=self.seconds, progress=self.progress
        )
        figures |= speedup(figures, heard.figures)
        unmet = tuple(self.target.unmet({name: one.value for name, one in figures.items()}))
        texts = len(data.train) + (len(data.more) if data.more is not None else 0)
        per_step = self.recipe.batch_size + (
            self.recipe.unlabelled_batch_size if data.more is not None else 0
        )
        chosen = best.optimized["chosen"]
        facts = {
            "target": str(self.target),
            "met": not unmet,
            "unmet": [str(term) for term in unmet],
            "remedies": remedies(
                self.target,
                unmet,
                best.trained,
                rungs,
                begun.plan,
                figures=figures,
                passes=best.trained.steps * per_step / texts,
                optimized=best.optimized,
            ),
            "command": command,
            "seed": self.seed,
            "price": price,
            "task": data.task.facts(),
            "computed_by": f"{chosen['runtime']} {chosen['precision']}",
            "figures": {name: one.as_dict() for name, one in figures.items()},
            "by_length": times,
            "teacher": {
                "name": str(self.teacher)
                if isinstance(self.teacher, str | Path)
                else type(self.teacher).__name__,
                "figures": {name: one.as_dict() for name, one in heard.figures.items()},
                "scores": _teachers(data, heard),
            },
            "data": data.facts(),
            "chosen": facts_of(best),
            "finalists": [facts_of(one) for one in finished],
            "plan": begun.plan.as_dict(),
            "rungs": [[one.as_dict() for one in rung] for rung in rungs],
            "seconds": round(work.spent, 1),
        }
        write_atomically(best.folder / REPORT_FILE, compression_page(facts, lines).encode())
        write_proof(best.folder, facts, lines)
        return Compressed(best.folder, figures, unmet, facts)


def _finalists(rungs: Sequence[Sequence[Trained]]) -> list[Trained]:
    """The best of the last rung, and where that has one candidate, whoever came next in the one before."""
    found: dict[Any, Trained] = {}
    for rung in reversed(rungs):
        for one in rung:
            found.setdefault(one.shape, one)
    return list(found.values())[:_FINALISTS]


def _teachers(data: Data, heard: Heard) -> dict[str, float]:
    """The teacher's own scores on the rows that decide."""
    said = heard.said["deciding"]
    truth = np.asarray(data.task.truth(data.deciding, source="the held-out rows"))[said.known]
    told = said.told(data.task)[said.known]
    return {name: float(metric(truth, told)) for name, metric in data.task.metrics.items()}
