"""Peers that do not resolve with our environment: each in one of its own, spoken to in lines of JSON.

An environment is made by pip, under ``build/engine``, when it is first wanted, and stays there.
"""

import json
import os
import subprocess
import sys
import venv
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from engine_models import PLACE
from measuring import say

#: What is installed for each.
WANTED = {
    "ctranslate2": ("ctranslate2", "torch", "transformers<5"),
    "sentence-transformers": ("sentence-transformers[openvino]",),
    "optimum-onnx": ("optimum-onnx[onnxruntime]",),
    "optimum-intel": ("optimum-intel[openvino]",),
    # Of the version that is timed elsewhere, too.
    "infinity-emb": ("infinity-emb[server,torch,optimum]", "torch==2.13.*"),
}

#: What runs there; the other one is a server, of ``serving.py``.
_WORKERS = {
    "ctranslate2": "engine_worker.py",
    "sentence-transformers": "engine_worker.py",
    "optimum-onnx": "loading_worker.py",
    "optimum-intel": "loading_worker.py",
}


class NotHereError(Exception):
    """A peer that cannot be had here, with the reason."""


class Elsewhere(AbstractContextManager["Elsewhere"]):
    """A peer's process.

    Args:
        name: of the peer, in ``WANTED``.
        words: what its program is told, such as the folder that it answers with.
        make: whether its environment is made where there is none.

    Attributes:
        versions: of what it computes with.

    Raises:
        NotHereError: it cannot be installed or does not start.
    """

    def __init__(self, name: str, *words: str | Path, make: bool) -> None:
        python = interpreter(name, make=make)
        worker = Path(__file__).with_name(_WORKERS[name])
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        self._log = (PLACE / f"{name}.log").open("wb")
        self._process = subprocess.Popen(
            [python, worker, name, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment,
        )
        try:
            self.versions: str = self._answer()
        except NotHereError:
            self.close()
            raise

    def ask(self, do: str, **given: Any) -> Any:
        """What it answers to a request, as ``engine_worker.py`` has them."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **given}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._log.close()

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            last = Path(self._log.name).read_text(errors="replace").strip().splitlines()[-1:]
            raise NotHereError(f"it ended: {' '.join(last):.200}")
        return json.loads(line)


def interpreter(name: str, *, make: bool) -> Path:
    """The interpreter of a peer's environment.

    Raises:
        NotHereError: it cannot be made.
    """
    folder = PLACE / f"environment-{name}"
    python, done = folder / "bin" / "python", folder / "made"
    if done.exists():
        return python
    if not make:
        raise NotHereError("its environment is made by a run without --quick")
    say(f"install {', '.join(WANTED[name])}, which takes minutes")
    venv.create(folder, with_pip=True, clear=True)
    ran = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", *WANTED[name]],
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        said = [line for line in ran.stderr.splitlines() if line.strip()] or ["pip failed"]
        raise NotHereError(f"it cannot be installed: {said[-1]:.200}")
    done.touch()
    return python


def started(name: str, *words: str | Path, make: bool) -> "Elsewhere | str":
    """A peer's process, or in words why there is none."""
    try:
        return Elsewhere(name, *words, make=make)
    except (NotHereError, OSError, subprocess.SubprocessError) as error:
        print(f"{name} takes no part: {error}", file=sys.stderr)
        return str(error)
