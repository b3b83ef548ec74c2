"""Who teaches a task, and what asking may cost, for the commands that ask."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilbert.cli.flags import seconds
from distilbert.core.teachers.chat import ChatTeacher
from distilbert.core.teachers.prompts import read_template
from distilbert.errors import ConfigError

if TYPE_CHECKING:
    from distilbert.core.teachers.targets import Teacher

_WHO = (
    "a fine-tuned classifier (with transformers, of any family); an entailment model; a .jsonl, .csv, .tsv "
    "or .parquet of labels or probabilities; or the https:// address of a server of the OpenAI chat protocol"
)

_OF_A_SERVER = (
    "teacher_model", "prompt", "key_variable", "max_calls", "max_cost", "price_in", "price_out",
    "kept_answers", "request",
)  # fmt: skip


def add_teacher(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    parser.add_argument("--teacher", required=required, metavar="TEACHER", help=_WHO)
    parser.add_argument(
        "--hypothesis",
        metavar="TEXT",
        help='an entailment model\'s, with {} for the class ("This example is {}.")',
    )
    group = parser.add_argument_group("a teacher on a server")
    group.add_argument("--teacher-model", metavar="NAME", help="the model's name there")
    group.add_argument("--prompt", metavar="FILE", help="a template with the places {text} and {labels}")
    group.add_argument("--key-variable", metavar="NAME", help="the environment variable that holds its key")
    group.add_argument(
        "--max-calls", type=int, metavar="N", help="requests at most, answers kept from earlier included"
    )
    group.add_argument(
        "--max-cost", type=float, metavar="P", help="cost at most, answers kept from earlier included"
    )
    group.add_argument("--price-in", type=float, metavar="P", help="of a million tokens read")
    group.add_argument("--price-out", type=float, metavar="P", help="of a million tokens written")
    group.add_argument("--at-once", type=int, default=4, metavar="N", help="requests together (%(default)s)")
    group.add_argument(
        "--timeout", type=seconds, default=60.0, metavar="TIME", help="of a request, such as 30s (60s)"
    )
    group.add_argument("--kept-answers", metavar="FILE", help="where answers are kept (in the user's cache)")
    group.add_argument(
        "--request", type=_fields, metavar="JSON", help='further fields of each request, such as {"seed": 1}'
    )


def read_teacher(args: argparse.Namespace) -> "str | Teacher | None":
    """The teacher that the flags name; a model's folder by its name.

    Raises:
        ConfigError: flags of a server, and no address of one; or an address and no model.
    """
    if args.teacher and _is_address(args.teacher) and args.teacher_model:
        return ChatTeacher(
            args.teacher,
            model=args.teacher_model,
            template=None if args.prompt is None else read_template(Path(args.prompt)),
            key_variable=args.key_variable,
            max_calls=args.max_calls,
            max_cost=args.max_cost,
            price_in=args.price_in,
            price_out=args.price_out,
            at_once=args.at_once,
            timeout=args.timeout,
            kept_answers=args.kept_answers,
            more=args.request,
        )
    _refuse_useless(args)
    if args.hypothesis is not None and args.teacher is not None:
        from distilbert.torch.zero_shot import ZeroShot

        return ZeroShot(args.teacher, hypothesis=args.hypothesis, device=args.device)
    return args.teacher


def _refuse_useless(args: argparse.Namespace) -> None:
    """Flags of a server without a server would look as if they did something."""
    given = [name for name in _OF_A_SERVER if getattr(args, name) is not None]
    if given and (args.teacher is None or not _is_address(args.teacher)):
        raise ConfigError(
            f"--{given[0].replace('_', '-')} is for a teacher on a server.",
            received=f"the teacher {args.teacher}" if args.teacher else "no teacher",
            remedy="Give its address: --teacher https://host/v1, or leave the flag out.",
        )


def _is_address(teacher: str) -> bool:
    return teacher.lower().startswith(("http://", "https://"))


def _fields(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError(f"a JSON object, not {text!r:.80}")
    return found
