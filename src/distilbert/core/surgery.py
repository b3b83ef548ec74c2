"""Cutting a student out of a teacher: which layers stay, and where the token types go.

Sanh et al. 2019, section 3: the student is the teacher with every other layer. The published student
simply drops BERT's token types, which changes what the first layer sees; here the row of type 0, the
only one a student ever meets, is added to every row of the position table, so that both models'
embeddings give the same output.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from distilbert.core import parameters, rules
from distilbert.core.checkpoint import (
    file_names,
    listed,
    read_weights,
    require_encoder,
    write_weights,
)
from distilbert.core.config import BertConfig, DistilBertConfig, EncoderConfig, read_config
from distilbert.core.data.texts import Source, texts_of
from distilbert.core.files import FACTS_FILE, write_json
from distilbert.core.hub import local_folder
from distilbert.core.layers import Take, choose_layers
from distilbert.core.narrowing import SAMPLE_LENGTH, SAMPLE_ROWS, narrow, sample_states
from distilbert.core.output import new_folder
from distilbert.core.parameters import Head, manifest
from distilbert.core.students import Init, StudentPlan, StudentShape, draw, student_config
from distilbert.core.text import DistilBertTokenizerFast
from distilbert.core.weight_files import Arrays
from distilbert.errors import ConfigError

__all__ = [
    "choose_layers",
    "cut",
    "require_language_model",
    "shrink",
    "student_arrays",
    "student_config",
]


def cut(
    teacher: EncoderConfig, arrays: Mapping[str, "np.ndarray[Any, Any]"], layers: Sequence[int]
) -> Arrays:
    """The student's arrays, out of the arrays of a teacher with a masked-language-model head.

    Args:
        teacher: the teacher's configuration.
        arrays: the teacher's arrays by key.
        layers: the teacher's layers to keep, in the student's order.

    Raises:
        ConfigError: a layer that the teacher does not have.
    """
    layers = choose_layers(layers, of=teacher.n_layers)
    student = student_config(teacher, layers=layers)
    prefix = parameters.base_prefix(teacher)
    base = parameters.split_base(arrays, teacher)
    head = {key: array for key, array in arrays.items() if not key.startswith(prefix)}
    kept = {}
    for parameter in manifest(student):
        layer = parameters.layer_of(parameter.key)
        source = parameter.key if layer is None else parameters.at_layer(parameter.key, layers[layer])
        kept[parameter.key] = base[source]
    if isinstance(teacher, BertConfig):
        types = base[parameters.TOKEN_TYPE_EMBEDDINGS]
        kept[parameters.POSITION_EMBEDDINGS] = kept[parameters.POSITION_EMBEDDINGS] + types[0]
    return parameters.join_base(kept, head, student)


def student_arrays(
    teacher: EncoderConfig,
    arrays: Mapping[str, "np.ndarray[Any, Any]"],
    plan: StudentPlan,
    *,
    rng: np.random.Generator,
    states: "np.ndarray[Any, Any] | None" = None,
) -> Arrays:
    """The arrays that a student begins with.

    Args:
        teacher: the teacher's configuration.
        arrays: the teacher's arrays by key, with its masked-language-model head.
        plan: what the student is to be (``StudentShape.plan``).
        rng: what a student that begins at random is drawn from, and the sample of states for a narrower one.
        states: [..., D], hidden states of the teacher on some texts, of whichever layers
            (``sample_states``); some hundred tokens do. The coordinates of a narrower student are chosen by
            them. None takes rows of tokens at random, which is not as good for principal components.

    Raises:
        ConfigError: states of another width.
    """
    if plan.init == "random":
        return draw(plan.config, rng)
    whole, config = cut(teacher, arrays, plan.layers), student_config(teacher, layers=plan.layers)
    if states is None and plan.config.dim < config.dim:
        # Which coordinates are large is mostly a matter of gains and biases, and shows in any text.
        ids = rng.integers(0, config.vocab_size, (SAMPLE_ROWS, SAMPLE_LENGTH))
        states = sample_states(config, whole, ids)
    turned = plan.init == "pca"
    return narrow(whole, config, to=plan.config, states=states, turned=turned)


def shrink(
    teacher: str | Path,
    *,
    layers: int | Sequence[int],
    out: str | Path,
    take: Take | None = None,
    dim: int | None = None,
    n_heads: int | None = None,
    hidden_dim: int | None = None,
    positions: int | None = None,
    init: Init | None = None,
    texts: Source = (),
    seed: int = 0,
    new_head: bool = False,
    force: bool = False,
) -> DistilBertConfig:
    """Cut a student folder out of a teacher folder, without training.

    Args:
        teacher: a folder or hub name of a BERT or DistilBERT with its masked-language-model head.
        layers, take, dim, n_heads, hidden_dim, positions: the student's sizes, as ``StudentShape`` has them.
        out: the student's folder.
        init: where its weights come from: ``"layers"``, ``"slice"``, ``"pca"`` or ``"random"``. None
            chooses as ``StudentShape.plan`` does.
        texts: the first of them show by which coordinates a narrower student is best cut; files or strings,
            as ``texts_of`` takes them.
        seed: of a student that begins at random, of the rows of tokens in place of texts, and of a new head.
        new_head: draw the masked-language-model head where the teacher has none, as a fine-tuned one: of its
            student only the encoder is of use then.
        force: replace a model that stands at ``out``.

    Returns:
        The student's configuration.

    Raises:
        CheckpointError: the teacher's folder cannot be read.
        HubError: neither a folder nor a repository that can be read.
        ConfigError: layers or sizes that the teacher cannot give, or a teacher without that head.
        DataError: texts that are asked for and cannot be read.
        OutputError: ``out`` is taken or cannot be written.
    """
    teacher = local_folder(teacher)
    config = read_config(teacher)
    rules.integer(0)("seed", seed)
    shape = StudentShape(layers, take, dim, n_heads, hidden_dim, positions)
    plan = shape.plan(config, init=init)
    arrays, report = read_weights(teacher, manifest(config, Head.MASKED_LM), config)
    if new_head and report.missing:
        require_encoder(teacher, report.missing, config, Head.MASKED_LM)
        drawn = draw(config, np.random.default_rng(seed))
        arrays |= {key: drawn[key] for key in report.missing}
    else:
        require_language_model(teacher, report.missing, config)
    tokenizer = DistilBertTokenizerFast.from_pretrained(teacher)
    states = None
    if (
        plan.init != "random"
        and plan.config.dim < config.dim
        and (some := [*islice(texts_of(texts), SAMPLE_ROWS)])
    ):
        rows = tokenizer(some, truncation=True, max_length=SAMPLE_LENGTH, padding=True, return_tensors="np")
        states = sample_states(config, arrays, rows.input_ids, rows.attention_mask)
    begun = student_arrays(config, arrays, plan, rng=np.random.default_rng(seed), states=states)
    student = plan.config
    student.architectures = ["DistilBertForMaskedLM"]
    student.dtype = str(begun[parameters.base_prefix(student) + parameters.WORD_EMBEDDINGS].dtype)
    if student.max_position_embeddings < config.max_position_embeddings:
        tokenizer.model_max_length = min(tokenizer.model_max_length, student.max_position_embeddings)
    facts = {
        "made_by": "shrink",
        "teacher": {"model_type": config.model_type, "n_layers": config.n_layers},
        **plan.facts(),
    }
    with new_folder(out, force=force) as folder:
        student.save_pretrained(folder)
        write_weights(folder, begun, manifest(student, Head.MASKED_LM))
        tokenizer.save_pretrained(folder)
        write_json(folder / FACTS_FILE, facts)
    return student


def require_language_model(folder: str | Path, missing: Sequence[str], config: EncoderConfig) -> None:
    """Refuse a folder that lacks weights of a masked language model.

    Raises:
        CheckpointError: weights of the encoder are missing.
        ConfigError: the head is; how to get one is said.
    """
    require_encoder(folder, missing, config, Head.MASKED_LM)
    if missing:
        names = file_names(missing, manifest(config, Head.MASKED_LM))
        raise ConfigError(
            "A teacher of masked words must have a masked-language-model head.",
            received=f"{folder} without {listed(names)}",
            remedy=f"Give it one: distilbert pretrain --model {folder} --text corpus.txt --out DIR",
        )
