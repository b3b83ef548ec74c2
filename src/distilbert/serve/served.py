"""A folder that is served: its pipelines, opened when they are first asked, and who still uses them."""

import threading
from pathlib import Path
from typing import Any, Self

from distilbert.core.hub import local_folder
from distilbert.core.sentence_folders import has_modules
from distilbert.engine.pipelines import ALIASES, pipeline, tasks_of
from distilbert.engine.pipelines.abstract import Pipeline
from distilbert.serve.refusals import Invalid

#: What a model is asked before anybody else asks it.
_FIRST = "It is a first text."
_WARM: dict[str, tuple[Any, dict[str, Any]]] = {
    "text-classification": (_FIRST, {}),
    "zero-shot-classification": (_FIRST, {"candidate_labels": ["one"]}),
    "token-classification": (_FIRST, {}),
    "question-answering": ({"question": "What is it?", "context": _FIRST}, {}),
    "multiple-choice": ({"question": "What is it?", "choices": ["a first text", "a song"]}, {}),
    "sentence-embedding": (_FIRST, {}),
    "sentence-similarity": ({"source_sentence": _FIRST, "sentences": [_FIRST]}, {}),
    "feature-extraction": (_FIRST, {}),
}


class Served:
    """A model under a name. Its pipelines may be asked from any thread.

    Args:
        name: by which it is asked for.
        folder: on this machine.
        task: what it is asked where nothing is said; None for what it was made for.
        settings: of its pipelines.

    Raises:
        CheckpointError: the folder cannot be read.
        ConfigError: it is another kind of model's, or does not answer that task.
        MissingExtraError: no runtime is installed.
    """

    def __init__(self, name: str, folder: Path, *, task: str | None = None, **settings: Any) -> None:
        self.name, self.folder = name, folder
        self.tasks = tasks_of(folder)
        #: Whether its vectors are made as it says.
        self.embeds = has_modules(folder)
        if task is not None:
            self.tasks = (self.known(task), *(other for other in self.tasks if other != self.known(task)))
        self._settings = settings
        self._opening = threading.Lock()
        self._main: Pipeline = pipeline(self.tasks[0], folder, **settings)
        self._pipelines: dict[str, Pipeline] = {self.tasks[0]: self._main}
        self._users = 0
        self._retired = False

    @classmethod
    def open(cls, name: str, place: str | Path, *, task: str | None = None, **settings: Any) -> Self:
        """A folder, or a hub's name, that has answered once."""
        made = cls(name, local_folder(place), task=task, **settings)
        made.warm()
        return made

    @property
    def main(self) -> Pipeline:
        """What answers the first of its tasks; opened at once, the others when they are asked."""
        return self._main

    @property
    def alive(self) -> bool:
        """Whether there is what computes it: a process of its own may have died."""
        workers = self._main.workers
        return workers is None or workers.alive > 0

    def known(self, task: str) -> str:
        """A task that the model has, by its proper name.

        Raises:
            Invalid: it has no such task.
        """
        task = ALIASES.get(task, task)
        if task not in self.tasks:
            raise Invalid(
                f"The model {self.name} answers {', '.join(self.tasks)}. Received: {task:.60}. "
                "Choose one of these, or another model."
            )
        return task

    def pipeline(self, task: str) -> Pipeline:
        """What answers a task; the first time it is opened.

        Raises:
            Invalid: the model has no such task.
        """
        task = self.known(task)
        if task not in self._pipelines:
            with self._opening:
                if task not in self._pipelines:
                    made = pipeline(task, self.folder, sharing=self._main, **self._settings)
                    self._pipelines[task] = made
        return self._pipelines[task]

    def prompt(self, name: str) -> str:
        """What the folder puts before texts under a name.

        Raises:
            Invalid: it has no such prompt.
        """
        prompts = self._main.modules.prompts
        if name not in prompts:
            raise Invalid(f"A prompt is one of {', '.join(prompts) or 'none at all'}. Received: {name:.60}.")
        return prompts[name]

    def warm(self) -> None:
        """Answer once: what is loaded or compiled late is there afterwards."""
        masked: tuple[Any, dict[str, Any]] = (f"It is {self._main.tokenizer.mask_token}.", {})
        given, options = _WARM.get(self.tasks[0], masked)
        call = self._main.begin([given], **options)
        list(call.answers(call.submit().result()))

    # Who uses it; for one thread.

    def __enter__(self) -> Self:
        self._users += 1
        return self

    def __exit__(self, *exception: object) -> None:
        self._users -= 1
        self._close_if_free()

    def retire(self) -> None:
        """Close it when its last user has left."""
        self._retired = True
        self._close_if_free()

    def _close_if_free(self) -> None:
        if self._retired and not self._users:
            # Its threads are waited for elsewhere: whoever closes here has others to serve.
            threading.Thread(target=self.close, name=f"distilbert-close-{self.name}").start()

    def close(self) -> None:
        """Let go of the runtimes; what still waits is cancelled."""
        for made in self._pipelines.values():
            made.close()
