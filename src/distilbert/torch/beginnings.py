"""What a student is before it learns: cut from its teacher, a model of one's own, or drawn at random."""

from pathlib import Path

from distilbert.core.config import DistilBertConfig
from distilbert.core.hub import local_folder
from distilbert.core.students import Init, StudentShape
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.training.beginnings import Beginning, of_layers, of_plan
from distilbert.errors import ConfigError
from distilbert.torch.folders import masked_language_model
from distilbert.torch.foreign import ForeignLanguageModel
from distilbert.torch.hearing import Teacher

#: The longest text of a student that begins at random beside a teacher that says no length.
_POSITIONS = 512


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
    if not isinstance(teacher.model, ForeignLanguageModel):
        taught = teacher.tokenizer
        assert isinstance(taught, DistilBertTokenizerFast)
        return of_layers(
            teacher.model.config,
            teacher.model.arrays(),
            taught,
            shape,
            init=init,
            tokenizer=own,
            seed=seed,
            new=masked_language_model,
        )
    if own is None or init != "random":
        raise ConfigError(
            "A student is cut from a BERT or DistilBERT; beside another teacher it begins elsewhere.",
            received=f"a teacher of the family {teacher.model.config.model_type}, "
            f"{'no tokenizer' if own is None else f'init={init}'}",
            remedy="Name a model to begin with: --student DIR; or begin at random: "
            "--init random --tokenizer DIR",
        )
    sizes = _sizes_of(teacher.model, own)
    return of_plan(sizes, {}, own, shape, init=init, seed=seed, new=masked_language_model)


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
