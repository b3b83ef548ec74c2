"""Make a text classifier of a model, from a table of texts and labels.

With a teacher its answers are learnt too, also on texts without labels: a fine-tuned classifier, a file of
labels or probabilities, an entailment model, or a chat model on a server. With --eval both are judged, and
how often they agree.

  distilbert finetune --model student/ --train train.csv --eval test.csv --out classifier/
  distilbert finetune --model student/ --train train.csv --teacher big/ --unlabelled more.txt --out small/
  distilbert finetune --model student/ --train train.csv --teacher labels.jsonl --eval test.csv --out small/
"""

import argparse
from typing import Any

from distilbert.cli.display import Display
from distilbert.cli.flags import (
    add_machine,
    add_output,
    add_run,
    how_to_run,
    refuse_taken,
    show_plan,
    write_report,
)
from distilbert.cli.recipe_flags import add_recipe, read_recipe
from distilbert.cli.teacher_flags import add_teacher, read_teacher
from distilbert.core.data.sources import read_texts
from distilbert.core.recipe import Finetuning
from distilbert.core.tasks import LabelledTexts
from distilbert.core.teachers.agreement import agreement_rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="MODEL", help="a BERT or DistilBERT")
    parser.add_argument(
        "--train", required=True, metavar="FILE", help="a .csv, .tsv, .jsonl or .parquet of texts and labels"
    )
    parser.add_argument("--eval", metavar="FILE", help="another such table, to judge the result by")
    add_teacher(parser)
    parser.add_argument("--unlabelled", metavar="FILE", help="texts that only the teacher labels")
    parser.add_argument("--text-column", metavar="NAME", help="the column with the text")
    parser.add_argument("--label-column", metavar="NAME", help="the column with the label")
    add_output(parser, what="the classifier")
    add_recipe(parser, Finetuning)
    add_run(parser)
    add_machine(parser)


def run(args: argparse.Namespace, display: Display) -> None:
    from distilbert.torch.finetune import Finetuner

    teacher = read_teacher(args)
    train = LabelledTexts.read(args.train, text=args.text_column, label=args.label_column)
    judged = None
    if args.eval:
        judged = LabelledTexts.read(args.eval, text=args.text_column, label=args.label_column)
    unlabelled = list(read_texts(args.unlabelled)) if args.unlabelled else []
    finetuner = Finetuner(
        args.model,
        teacher=teacher,
        recipe=read_recipe(args, Finetuning),
        device=args.device,
        progress=display.progress,
    )
    if args.dry_run:
        refuse_taken(args)
        plan = finetuner.rehearse(train, unlabelled=unlabelled, evaluate=judged)
        show_plan(plan.facts(), display)
        return
    done = finetuner.run(train, unlabelled=unlabelled, evaluate=judged, **how_to_run(args))
    write_report(args, done)
    facts = done.facts
    score = ""
    if "evaluation" in facts:
        accuracy = facts["evaluation"]["accuracy"]
        score = (
            f" Accuracy {accuracy['value']:.3f} "
            f"(95% interval {accuracy['low']:.3f} to {accuracy['high']:.3f}) on {args.eval}."
        )
    if "agreement" in facts and not args.json:
        _show_agreement(facts["agreement"], display, args.eval)
    display.result(
        f"{args.out}: trained in {facts['training']['seconds']:.0f} s.{score}\n"
        f'Next: distilbert predict --model {args.out} "some text"',
        facts,
    )


def _show_agreement(found: dict[str, Any], display: Display, gold: str) -> None:
    title = f"On {found['rows']} rows of {gold}"
    if found["unanswered"]:
        title += f"; {found['unanswered']} others have no answer of the teacher's"
    display.table(["", "share", "95% interval"], agreement_rows(found), title=title)
