"""Which framework a command computes with, and how it is started under the user's eyes."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from types import ModuleType

from distilbert.cli.display import Display
from distilbert.cli.entry import leaving_at_once
from distilbert.core import rules
from distilbert.errors import ConfigError

#: The wings that train and answer, and what people call them.
NAMES = {"torch": "PyTorch", "jax": "JAX", "keras": "Keras"}


def add_backend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backend", choices=tuple(NAMES), default="torch", help="what computes (%(default)s)"
    )


def asked_for(args: argparse.Namespace) -> str:
    """The wing that the flags ask for: PyTorch's, unless they say another."""
    return getattr(args, "backend", None) or "torch"


def job(args: argparse.Namespace, name: str) -> ModuleType:
    """The file of this name in the wing that the flags ask for."""
    return import_module(f"distilbert.{asked_for(args)}.{name}")


def threads(args: argparse.Namespace) -> int | None:
    """Cores to use; None for all.

    Raises:
        ConfigError: it is no such number.
    """
    return None if args.threads is None else rules.integer(1, 1024)("--threads", args.threads)


def refuse_other(args: argparse.Namespace, what: str) -> None:
    """Refuse what PyTorch alone does.

    Raises:
        ConfigError: another framework is asked for.
    """
    if args.backend != "torch":
        raise ConfigError(
            f"{what} with PyTorch.", received=f"--backend {args.backend}", remedy="Leave --backend out."
        )


def start(args: argparse.Namespace, display: Display) -> None:
    """Load a command's framework, which takes seconds."""
    backend, cores = asked_for(args), threads(args)
    stage = f"start {NAMES[backend]}"
    display.progress(stage, 0, 1, {})
    if cores is not None and backend == "jax":
        _keep_to(cores)
    if backend == "keras":
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # to it the lack of a GPU is an error
    with leaving_at_once(), _unheard() if backend == "keras" else nullcontext():
        import_module(f"distilbert.{backend}")  # the error for its absence is a command to run
    if cores is not None and backend == "torch":
        import torch

        torch.set_num_threads(cores)
    if cores is not None and backend == "keras":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(cores)
        tf.config.threading.set_inter_op_parallelism_threads(cores)
    display.progress(stage, 1, 1, {})


@contextmanager
def _unheard() -> Iterator[None]:
    """Inside, nothing is written to standard error by C code: TensorFlow tells of its plans, unasked.

    What it takes from the environment about that it reads too late.
    """
    sys.stderr.flush()
    heard = os.dup(2)
    try:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(heard, 2)
        os.close(heard)


def _keep_to(cores: int) -> None:
    """Let this process have so many cores alone: JAX takes as many threads as there are, and asks nobody."""
    if not hasattr(os, "sched_setaffinity"):
        raise ConfigError(
            "JAX is held to some of the cores where the system can do so.",
            received=f"--threads {cores}",
            remedy="Leave --threads out.",
        )
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
