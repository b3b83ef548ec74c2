"""What a student is before it learns: cut from its teacher, a model of one's own, or drawn at random."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distilbert.core.config import DistilBertConfig, EncoderConfig
from distilbert.core.copies import fingerprint
from distilbert.core.data.collate import attention_mask, pad
from distilbert.core.data.corpus import Corpus
from distilbert.core.hub import local_folder
from distilbert.core.model_folders import open_folder
from distilbert.core.narrowing import SAMPLE_LENGTH, SAMPLE_ROWS, sample_states
from distilbert.core.students import Init, StudentShape
from distilbert.core.surgery import student_arrays
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.vocabularies import in_vocabulary
from distilbert.core.weight_files import Arrays
from distilbert.errors import ConfigError
from distilbert.torch.folders import masked_language_model, open_language_model
from distilbert.torch.foreign import ForeignLanguageModel
from distilbert.torch.heads import MaskedLanguageModel
from distilbert.torch.hearing import Teacher

#: The longest text of a student that begins at random beside a teacher that says no length.
_POSITIONS = 512


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
    make: Callable[[Corpus], MaskedLanguageModel]
    facts: Mapping[str, Any]
    new_weights: tuple[str, ...] = ()


def of_folder(student: str | Path, *, device: torch.device) -> Beginning:
    """A student that a folder holds, with a head drawn anew where it has none.

    Raises:
        CheckpointError: the folder cannot be read.
    """
    folder = local_folder(student)
    config, tokenizer = open_folder(folder)
    model, missing = open_language_model(folder, config, device=device)
    facts = {
        "student": {"model_type": config.model_type, "weights": fingerprint(model.arrays())},
        "new_weights": list(missing),
    }
    return Beginning(config, tokenizer, lambda _: model, facts, missing)


def of_teacher(
    teacher: Teacher,
    shape: StudentShape,
    *,
    init: Init | None,
    tokenizer: str | Path | None,
    seed: int,
) -> Beginning:
    """A student with layers of its teacher, or one of its sizes at random.

    Args:
        teacher: whose student it is.
        shape: the student's sizes.
        init: as ``StudentShape.plan`` has it.
        tokenizer: a folder with the student's vocabulary, in place of the teacher's. Tokens that both have
            begin with the teacher's rows, others as the mean of its rows.
        seed: of what is drawn.

    Raises:
        CheckpointError: there is no tokenizer in that folder.
        ConfigError: sizes that the teacher does not give, or a teacher of another family and no other
            beginning.
    """
    own = None
    if tokenizer is not None:
        own = DistilBertTokenizerFast.from_pretrained(local_folder(tokenizer))
    config: EncoderConfig
    arrays: Arrays = {}
    if isinstance(teacher.model, ForeignLanguageModel):
        if own is None or init != "random":
            raise ConfigError(
                "A student is cut from a BERT or DistilBERT; beside another teacher it begins elsewhere.",
                received=f"a teacher of the family {teacher.model.config.model_type}, "
                f"{'no tokenizer' if own is None else f'init={init}'}",
                remedy="Name a model to begin with: --student DIR; or begin at random: "
                "--init random --tokenizer DIR",
            )
        config = _sizes_of(teacher.model, own)
    else:
        config, arrays = teacher.model.config, teacher.model.arrays()
        taught = teacher.tokenizer
        assert isinstance(taught, DistilBertTokenizerFast)
        if own is None:
            own = taught
        else:
            config, arrays = in_vocabulary(config, arrays, taught.get_vocab(), own.get_vocab())
    plan = shape.plan(config, init=init)

    def make(data: Corpus) -> MaskedLanguageModel:
        narrower = plan.init != "random" and plan.config.dim < config.dim
        states = _states(data, config, arrays) if narrower else None
        rng = np.random.default_rng(seed)
        student = masked_language_model(plan.config)
        student.assign(student_arrays(config, arrays, plan, rng=rng, states=states))
        return student

    return Beginning(plan.config, own, make, plan.facts())


def _sizes_of(model: ForeignLanguageModel, tokenizer: DistilBertTokenizerFast) -> DistilBertConfig:
    """The sizes of another family's model, as far as it says them, with the student's vocabulary."""

    def said(name: str, otherwise: int) -> int:
        return int(getattr(model.config, name, None) or otherwise)

    return DistilBertConfig(
        vocab_size=1 + max(tokenizer.get_vocab().values()),
        dim=model.width,
        n_layers=said("num_hidden_layers", 1),
        n_heads=said("num_attention_heads", 1),
        hidden_dim=said("intermediate_size", 4 * model.width),
        max_position_embeddings=min(said("max_position_embeddings", _POSITIONS), _POSITIONS),
        pad_token_id=tokenizer.pad_token_id,
    )


def _states(data: Corpus, config: EncoderConfig, arrays: Arrays) -> Any:
    """What a teacher makes of the first sequences, by which a narrower student is cut."""
    rows = [data[i][:SAMPLE_LENGTH] for i in range(min(SAMPLE_ROWS, len(data)))]
    return sample_states(config, arrays, pad(rows, value=config.pad_token_id), attention_mask(rows))
