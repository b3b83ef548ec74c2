"""Teach a model to tell hidden words of a text.

Adapts a model to a domain, and gives one without it the head that a teacher needs.

  distilbert pretrain --model bert/ --text corpus.txt --out teacher/
  distilbert pretrain --tokenizer words/ --layers 6 --dim 768 --text corpus.txt --out new/
"""

import argparse
import shlex
from typing import Any

from distilbert.cli.display import Display
from distilbert.cli.flags import (
    add_machine,
    add_output,
    add_run,
    add_text,
    how_to_run,
    read_text,
    refuse_taken,
    show_plan,
    write_report,
)
from distilbert.cli.recipe_flags import LOSSES, add_recipe, read_recipe
from distilbert.core.config import DistilBertConfig
from distilbert.core.hub import local_folder
from distilbert.core.recipe import LanguageModelling
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="MODEL", help="a BERT or DistilBERT")
    group = parser.add_argument_group("new model, in place of --model")
    group.add_argument("--tokenizer", metavar="DIR", help="its vocabulary, such as train-tokenizer writes")
    group.add_argument("--layers", type=int, metavar="N", help="how many it has (6)")
    group.add_argument("--dim", type=int, metavar="D", help="width of the states (768)")
    group.add_argument(
        "--heads", type=int, metavar="N", help="attention heads of a layer (64 of the width each)"
    )
    group.add_argument(
        "--hidden-dim", type=int, metavar="F", help="neurons of a feed-forward (four times the width)"
    )
    group.add_argument("--positions", type=int, metavar="S", help="tokens of the longest text (512)")
    add_text(parser)
    add_output(parser, what="the model")
    add_recipe(parser, LanguageModelling, default="adapt", without=[LOSSES])
    parser.set_defaults(recipe=None)  # one that is asked for is taken, also of a new model
    add_run(parser)
    add_machine(parser)


def run(args: argparse.Namespace, display: Display) -> None:
    from distilbert.torch.distill import Pretrainer

    new = _new_model(args)
    args.recipe = args.recipe or ("default" if "config" in new else "adapt")
    recipe = read_recipe(args, LanguageModelling)
    pretrainer = Pretrainer(args.model, **new, recipe=recipe, device=args.device, progress=display.progress)
    texts = read_text(args)
    if args.dry_run:
        refuse_taken(args)
        show_plan(pretrainer.rehearse(texts).facts(), display)
        return
    done = pretrainer.run(texts, **how_to_run(args))
    write_report(args, done)
    facts = done.facts
    texts_again = shlex.join(args.text)
    looks = [look["masked_token_perplexity"] for look in done.log.judged]
    told = f" Perplexity of hidden tokens: {looks[-1]:.2f}, from {looks[0]:.2f}." if looks else ""
    display.result(
        f"{args.out}: trained in {facts['training']['seconds']:.0f} s.{told}\n"
        f"Next: distilbert distill --teacher {args.out} --text {texts_again} --layers 3 --out student/",
        facts,
    )


def _new_model(args: argparse.Namespace) -> dict[str, Any]:
    """The configuration and the tokenizer of a new model, as ``Pretrainer`` names them."""
    sizes = {
        "n_layers": args.layers,
        "dim": args.dim,
        "n_heads": args.heads,
        "hidden_dim": args.hidden_dim,
        "max_position_embeddings": args.positions,
    }
    given = {name: size for name, size in sizes.items() if size is not None}
    if args.model is not None and given:
        raise ConfigError(
            "A model that there is has its sizes.",
            received=f"--model {args.model} and sizes of a new one",
            remedy="Leave one of them out.",
        )
    if args.tokenizer is None or args.model is not None:
        return {} if args.tokenizer is None else {"tokenizer": args.tokenizer}
    dim = given.setdefault("dim", 768)
    given.setdefault("n_heads", max(1, dim // 64))
    given.setdefault("hidden_dim", 4 * dim)
    tokenizer = DistilBertTokenizerFast.from_pretrained(local_folder(args.tokenizer))
    vocab_size = 1 + max(tokenizer.get_vocab().values())
    config = DistilBertConfig(vocab_size=vocab_size, pad_token_id=tokenizer.pad_token_id, **given)
    return {"config": config, "tokenizer": args.tokenizer}
