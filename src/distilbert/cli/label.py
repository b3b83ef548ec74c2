"""Label texts by a teacher, for a student to learn from.

The teacher is a classifier, an entailment model that is told the classes, or a chat model on a server.
Writes a .jsonl file with each text's label and probabilities.

  distilbert label --teacher classifier/ --text texts.txt --out labels.jsonl
  distilbert label --teacher entailment/ --classes "sports,politics" --text texts.txt --out labels.jsonl
  distilbert label --teacher https://host/v1 --teacher-model NAME --key-variable KEY --max-calls 1000 \
      --classes "sports,politics" --text texts.txt --out labels.jsonl
"""

import argparse
from typing import Any

from distilbert.cli.display import Display
from distilbert.cli.flags import add_machine, add_text, read_text
from distilbert.cli.teacher_flags import add_teacher, read_teacher
from distilbert.core.teachers.chat import ChatTeacher


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_teacher(parser, required=True)
    parser.add_argument("--classes", metavar="NAMES", help="separated by commas (a classifier's own)")
    add_text(parser, what="texts to label")
    parser.add_argument("--out", required=True, metavar="FILE", help="the .jsonl file of labels")
    parser.add_argument("--force", action="store_true", help="replace a file that stands there")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="say what a server would be asked and at most paid; ask nothing",
    )
    add_machine(parser)


def run(args: argparse.Namespace, display: Display) -> None:
    from distilbert.torch.labelling import classes_of, label

    classes = None
    if args.classes is not None:
        classes = [name.strip() for name in args.classes.split(",") if name.strip()]
    teacher = read_teacher(args)
    assert teacher is not None
    texts = list(read_text(args))
    if args.dry_run:
        plan: dict[str, Any] = {"texts": len(texts)}
        if isinstance(teacher, ChatTeacher):
            plan = teacher.plan(texts, classes_of(teacher, classes))
        lines = "\n".join(f"{name.replace('_', ' '):>18}  {value}" for name, value in plan.items())
        display.result(f"{lines}\nNothing was asked or written.", plan)
        return
    facts = label(
        teacher,
        texts,
        out=args.out,
        classes=classes,
        force=args.force,
        device=args.device,
        progress=display.progress,
    )
    said = f"{args.out}: {facts['labelled']} of {facts['texts']} texts labelled."
    if asked := facts.get("asked"):
        said += f" {asked['requests']} requests, {asked['kept_from_earlier']} answers kept from earlier."
        if "cost" in asked:
            said += f" Cost in all: {asked['cost']:g}."
        if asked["stopped_at"]:
            said += (
                f"\nStopped asking at {asked['stopped_at']}; the same command with more goes on from there."
            )
    display.result(
        f"{said}\nNext: distilbert finetune --teacher {args.out} --model STUDENT --train TRAIN --out DIR",
        facts,
    )
