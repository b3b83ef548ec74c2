"""What a student is before it learns: cut from its teacher, or a model of one's own."""

from pathlib import Path
from typing import Any

from distilbert.core.config import EncoderConfig
from distilbert.core.hub import local_folder
from distilbert.core.model_folders import open_folder
from distilbert.core.students import Init, StudentShape
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.training.beginnings import Beginning, of_layers, of_model
from distilbert.keras.device import on
from distilbert.keras.folders import masked_language_model, open_language_model
from distilbert.keras.hearing import Teacher


def of_folder(student: str | Path, *, device: str, policy: str, seed: int) -> Beginning:
    """A student that a folder holds, with a head drawn anew where it has none.

    Raises:
        CheckpointError: the folder cannot be read.
    """
    folder = local_folder(student)
    config, tokenizer = open_folder(folder)
    model, missing = open_language_model(folder, config, device=device, policy=policy, seed=seed)
    return of_model(model, tokenizer, missing)


def of_teacher(
    teacher: Teacher,
    shape: StudentShape,
    *,
    init: Init | None,
    tokenizer: str | Path | None,
    seed: int,
    device: str,
    policy: str,
) -> Beginning:
    """A student with layers of its teacher, or one of its sizes at random.

    Args:
        teacher: whose student it is.
        shape: the student's sizes.
        init: as ``StudentShape.plan`` has it.
        tokenizer: a folder with the student's vocabulary, in place of the teacher's.
        seed: of what is drawn.
        device: that the student is to lie on.
        policy: by which it computes.

    Raises:
        CheckpointError: there is no tokenizer in that folder.
        ConfigError: sizes that the teacher does not give.
    """
    own = None
    if tokenizer is not None:
        own = DistilBertTokenizerFast.from_pretrained(local_folder(tokenizer))
    assert teacher.tokenizer is not None

    def new(config: EncoderConfig) -> Any:
        with on(device):
            return masked_language_model(config, dtype=policy, _do_init=False)

    return of_layers(
        teacher.model.config,
        teacher.model.arrays(),
        teacher.tokenizer,
        shape,
        init=init,
        tokenizer=own,
        seed=seed,
        new=new,
    )
