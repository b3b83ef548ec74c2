"""What a person sees of a run: on a terminal bars, elsewhere a line now and then."""

import io

import pytest
from rich.console import Console

from distilbert.cli import display
from distilbert.cli.display import Display, _Bars

FACTS = {"loss": 3.25, "masked_lm": 1.0, "cosine": 0.125, "tokens/s": 12345.6, "MFU %": 41.26}


def test_bars_show_every_term_and_the_speed() -> None:
    screen = io.StringIO()
    bars = _Bars(Console(file=screen, force_terminal=True, width=110))
    bars.show("distil", 0, 100, {})
    bars.show("distil", 40, 100, FACTS)
    bars._progress.refresh()
    shown = screen.getvalue()
    for words in ("40/100", "loss 3.25", "masked_lm 1", "cosine 0.125", "tokens/s 12,346", "MFU % 41.26"):
        assert words in shown, words
    screen.truncate(0)
    bars.show("evaluate", 0, 10, {})
    bars.stop()
    assert "masked_lm" not in screen.getvalue().split("evaluate")[-1], "of the newest stage alone"


def test_lines_say_what_is_left_of_a_run_that_goes_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixty steps of a hundred are there; ten more took twenty seconds, so thirty more take a minute."""
    clock = iter([100.0, 120.0])
    monkeypatch.setattr(display.time, "monotonic", lambda: next(clock))
    with Display() as shown:
        shown.progress("distil", 60, 100, {})
        shown.progress("distil", 70, 100, FACTS)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "distil …"
    assert said[1].startswith("distil: 70 of 100  loss 3.25  masked_lm 1  cosine 0.125  tokens/s 12,346")
    assert said[1].endswith(", 1:00 left")
