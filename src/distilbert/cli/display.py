"""What a person sees while a command runs. Progress goes to stderr, results to stdout."""

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import TaskID

#: Seconds between lines of progress where there is no terminal to draw a bar on.
_LINE_EVERY = 15.0


class Display(AbstractContextManager["Display"]):
    """Bars on a terminal, a line now and then elsewhere, nothing when quiet.

    Args:
        quiet: no progress.
        json: results are printed as JSON, for programs.
        heard: False says nothing but errors, as of several processes that work together one is to be heard.
    """

    def __init__(self, *, quiet: bool = False, json: bool = False, heard: bool = True) -> None:
        from rich.console import Console

        self.json = json
        #: What a signal asked for: raised at the next progress, if it was not before.
        self.stop: BaseException | None = None
        self._quiet, self._heard = quiet or not heard, heard
        self._out = Console(highlight=False, soft_wrap=True, emoji=False)
        self._err = Console(stderr=True, highlight=False, emoji=False)
        self._bars = _Bars(self._err) if self._err.is_terminal and not self._quiet else None
        self._stage, self._started, self._spoken, self._begun = "", 0.0, 0.0, 0

    def progress(self, stage: str, done: int, total: int | None, facts: Mapping[str, float]) -> None:
        """A ``Progress``: draws how far a stage is, with the time that is left."""
        if self.stop is not None:
            raise self.stop
        if self._bars:
            self._bars.show(stage, done, total, facts)
        elif not self._quiet:
            self._speak(stage, done, total, facts)

    def say(self, text: str) -> None:
        """A line for a person, not part of the result."""
        if not self._quiet:
            self._err.print(text, markup=False)

    def fail(self, text: str) -> None:
        """The one sentence that an error comes to."""
        if self._bars:
            self._bars.stop()
        self._err.print(f"distilbert: {text}", markup=False, soft_wrap=True)

    def result(self, text: str, value: object) -> None:
        """The result: ``value`` where JSON was asked for, ``text`` elsewhere."""
        if self._bars:
            self._bars.stop()
        if not self._heard:
            return
        if self.json:
            print(json.dumps(value, ensure_ascii=False, indent=2))
        else:
            print(text)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "") -> None:
        """A table for a person: the first column on the left, figures on the right."""
        from rich.table import Table

        if self._bars:
            self._bars.stop()
        table = Table(title=title or None, title_justify="left", header_style="bold")
        for i, column in enumerate(columns):
            table.add_column(column, justify="right" if i else "left", overflow="fold")
        for row in rows:
            table.add_row(*row)
        self._out.print(table)

    def __exit__(self, *exception: object) -> None:
        if self._bars:
            self._bars.stop()

    def _speak(self, stage: str, done: int, total: int | None, facts: Mapping[str, float]) -> None:
        now = time.monotonic()
        if stage != self._stage or done == 0:
            # A run that was interrupted begins where it was.
            self._stage, self._started, self._spoken, self._begun = stage, now, now, done
            print(f"{stage} …", file=sys.stderr, flush=True)
        elif now - self._spoken > _LINE_EVERY:
            self._spoken = now
            of = f" of {total}" if total else ""
            speed = (now - self._started) / max(1, done - self._begun)
            left = speed * (total - done) if total else None
            ending = f", {_minutes(left)} left" if left is not None else ""
            print(f"{stage}: {done}{of}{_listed(facts)}{ending}", file=sys.stderr, flush=True)


class _Bars:
    """One bar for each stage, the finished ones above; what there is to say of the newest below."""

    def __init__(self, console: Any) -> None:
        from rich.console import RenderableType
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.text import Text

        class Shown(Progress):
            further = ""

            def get_renderables(self) -> Iterable[RenderableType]:
                yield from super().get_renderables()
                if self.further:
                    yield Text(self.further, style="dim")

        self._progress = Shown(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description:<20}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[facts]}"),
            console=console,
        )
        self._stage = ""
        self._task: TaskID | None = None

    def show(self, stage: str, done: int, total: int | None, facts: Mapping[str, float]) -> None:
        if self._task is None or stage != self._stage or done == 0:
            self.finish()
            self._progress.start()
            task = self._progress.add_task(stage, total=total, completed=done, facts="")
            self._stage, self._task = stage, task
        first, *others = facts.items() or [("", 0.0)]
        self._progress.further = _listed(dict(others))
        self._progress.update(self._task, completed=done, total=total, facts=_listed(dict([first])))

    def finish(self) -> None:
        """Mark the stage at hand as done where its end was not known."""
        if self._task is not None:
            task = self._progress.tasks[self._progress.task_ids.index(self._task)]
            if task.total is None:
                self._progress.update(self._task, total=max(1, task.completed))

    def stop(self) -> None:
        self.finish()
        self._progress.further = ""
        self._progress.stop()
        self._task = None


def _listed(facts: Mapping[str, float]) -> str:
    return "".join(f"  {name} {_figure(value)}" for name, value in facts.items() if name)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
