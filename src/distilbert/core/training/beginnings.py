"""What a student is before it learns: a model of one's own, or layers of its teacher."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distilbert.core.config import EncoderConfig
from distilbert.core.copies import fingerprint
from distilbert.core.data.collate import attention_mask, pad
from distilbert.core.data.corpus import Corpus
from distilbert.core.hub import local_folder
from distilbert.core.model_folders import open_folder
from distilbert.core.narrowing import SAMPLE_LENGTH, SAMPLE_ROWS, sample_states
from distilbert.core.students import Init, StudentShape
from distilbert.core.surgery import student_arrays
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.training.hearing import OpenModel, Teacher
from distilbert.core.vocabularies import in_vocabulary
from distilbert.core.weight_files import Arrays


@dataclass(frozen=True)
class Beginning:
    """A student that can be made, once it is known what it reads.

    Attributes:
        config: its configuration.
        tokenizer: its tokenizer.
        make: the student, of the sequences that it is to read.
        facts: how it begins.
        new_weights: keys of parameters that are drawn anew beside others that were read.
    """

    config: EncoderConfig
    tokenizer: DistilBertTokenizerFast
    make: Callable[[Corpus], Any]
    facts: Mapping[str, Any]
    new_weights: tuple[str, ...] = ()


def of_folder(student: str | Path, open_model: OpenModel) -> Beginning:
    """A student that a folder holds, with a head drawn anew where it has none.

    Args:
        student: the folder, or its name on a hub.
        open_model: opens it.

    Raises:
        CheckpointError: the folder cannot be read.
    """
    folder = local_folder(student)
    config, tokenizer = open_folder(folder)
    model, missing = open_model(folder, config)
    facts = {
        "student": {"model_type": model.config.model_type, "weights": fingerprint(model.arrays())},
        "new_weights": list(missing),
    }
    return Beginning(model.config, tokenizer, lambda _: model, facts, missing)


def of_teacher(
    teacher: Teacher,
    shape: StudentShape,
    *,
    init: Init | None,
    tokenizer: str | Path | None,
    seed: int,
    new: Callable[[EncoderConfig], Any],
) -> Beginning:
    """A student with layers of its teacher, or one of its sizes at random.

    Args:
        teacher: whose student it is.
        tokenizer: a folder with the student's vocabulary, in place of the teacher's.

    The other arguments are those of ``of_layers``.

    Raises:
        CheckpointError: there is no tokenizer in that folder.
        ConfigError: sizes that the teacher does not give.
    """
    own = None
    if tokenizer is not None:
        own = DistilBertTokenizerFast.from_pretrained(local_folder(tokenizer))
    model = teacher.model
    return of_layers(
        model.config,
        model.arrays(),
        teacher.tokenizer,
        shape,
        init=init,
        tokenizer=own,
        seed=seed,
        new=new,
    )


def of_layers(
    config: EncoderConfig,
    arrays: Arrays,
    taught: DistilBertTokenizerFast,
    shape: StudentShape,
    *,
    init: Init | None,
    tokenizer: DistilBertTokenizerFast | None,
    seed: int,
    new: Callable[[EncoderConfig], Any],
) -> Beginning:
    """A student with layers of its teacher, or one of its sizes at random.

    Args:
        config: the teacher's.
        arrays: the teacher's.
        taught: the teacher's tokenizer.
        shape: the student's sizes.
        init: as ``StudentShape.plan`` has it.
        tokenizer: the student's, in place of the teacher's. Tokens that both have begin with the teacher's
            rows, others as the mean of its rows.
        seed: of what is drawn.
        new: a wing's masked language model of a configuration.

    Raises:
        ConfigError: sizes that the teacher does not give.
    """
    if tokenizer is not None:
        config, arrays = in_vocabulary(config, arrays, taught.get_vocab(), tokenizer.get_vocab())
    return of_plan(config, arrays, tokenizer or taught, shape, init=init, seed=seed, new=new)


def of_plan(
    config: EncoderConfig,
    arrays: Arrays,
    tokenizer: DistilBertTokenizerFast,
    shape: StudentShape,
    *,
    init: Init | None,
    seed: int,
    new: Callable[[EncoderConfig], Any],
) -> Beginning:
    """The same, where the teacher's arrays have the student's vocabulary, or there are none."""
    plan = shape.plan(config, init=init)

    def make(data: Corpus) -> Any:
        narrower = plan.init != "random" and plan.config.dim < config.dim
        states = _states(data, config, arrays) if narrower else None
        rng = np.random.default_rng(seed)
        student = new(plan.config)
        student.assign(student_arrays(config, arrays, plan, rng=rng, states=states))
        return student

    return Beginning(plan.config, tokenizer, make, plan.facts())


def _states(data: Corpus, config: EncoderConfig, arrays: Arrays) -> Any:
    """What a teacher makes of the first sequences, by which a narrower student is cut."""
    rows = [data[i][:SAMPLE_LENGTH] for i in range(min(SAMPLE_ROWS, len(data)))]
    return sample_states(config, arrays, pad(rows, value=config.pad_token_id), attention_mask(rows))
