"""Teachers of other families (RoBERTa, ModernBERT, DeBERTa and so on), where ``transformers`` is installed.

Only what that package itself defines is run: code in a folder is not, weights are safetensors, and it fetches
nothing. To what listens to teachers they look like our own.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from distilbert.core.config_files import folder_content, model_type
from distilbert.core.data.collate import attention_mask, pad
from distilbert.core.data.packing import PackedBatch, pack
from distilbert.errors import CheckpointError, ConfigError, MissingExtraError
from distilbert.torch.foreign_tokenizer import ForeignTokenizer

#: What this package has of its own.
_OWN = ("bert", "distilbert")

#: A tokenizer that says no length says some such number instead.
_ANY_LENGTH = 10**6

#: What a model is tried with when it is opened: rows of two lengths.
TRIED = ("one two three four", "one")


def is_foreign(folder: str | Path) -> bool:
    """Whether a folder's model is of another family than BERT and DistilBERT."""
    said = model_type(folder_content(Path(folder)))
    return said is not None and said not in _OWN


class ForeignLanguageModel(nn.Module):
    """Another family's masked language model.

    Args:
        model: of ``transformers``.
        pad_token_id: of its tokenizer.
    """

    def __init__(self, model: Any, pad_token_id: int) -> None:
        super().__init__()
        self.model = model
        self.config = model.config
        self.pad_token_id = pad_token_id
        #: Whether its head can be run without its blocks, and whether any of it computes in bfloat16.
        self.head_apart, self.bf16 = False, True

    @property
    def width(self) -> int:
        return int(self.config.hidden_size)

    def facts(self) -> dict[str, Any]:
        return {
            "model_type": self.config.model_type,
            "n_layers": getattr(self.config, "num_hidden_layers", None),
        }

    def arrays(self) -> dict[str, Any]:
        """Its weights by their names."""
        return {name: tensor.detach().cpu().numpy() for name, tensor in self.model.state_dict().items()}

    def listen(
        self, texts: PackedBatch, at: Tensor, *, layers: bool
    ) -> tuple[list[Tensor], Callable[[Any], Tensor]]:
        """What it makes of texts: its states, text after text [T, D], and the logits of tokens.

        Args:
            texts: any.
            at: tokens whose logits may be asked for. Where its head can be run apart, it is when they are,
                and of these alone; otherwise at once and of all tokens.
            layers: states before, between and after its layers, or the last ones alone.

        Returns:
            The states, and a function from places in ``at`` to logits.

        Raises:
            ConfigError: states of all layers are wanted, and it does not list them.
        """
        ids_T = texts.input_ids.ravel()[texts.order].astype(np.int32)
        rows = np.split(ids_T, np.cumsum(texts.lengths)[:-1])
        device = at.device
        ids_BS = torch.from_numpy(pad(rows, value=self.pad_token_id)).to(device)
        mask_BS = torch.from_numpy(attention_mask(rows)).to(device)
        live = mask_BS.flatten().nonzero()[:, 0]
        last: list[Tensor] = []
        # Some families list their last states without the norm that their head reads them through.
        hook = self.model.base_model.register_forward_hook(lambda _, __, found: last.append(found[0]))
        asked = self.model.base_model if self.head_apart else self.model
        with hook, self._computing():
            output = asked(
                input_ids=ids_BS, attention_mask=mask_BS, output_hidden_states=layers, return_dict=True
            )
        listed = getattr(output, "hidden_states", None) if layers else ()
        if listed is None or any(x.shape[:2] != ids_BS.shape for x in listed[:-1]):
            raise ConfigError(
                "Terms of several layers need a teacher that lists each token's states of all its layers.",
                received=f"one of the family {self.config.model_type}, which does not",
                remedy="Set hidden_weight to 0 (--hidden-weight 0), or choose another teacher.",
            )
        if last[-1].shape != (*ids_BS.shape, self.width):
            raise ValueError(f"states of the shape {list(last[-1].shape)} for {list(ids_BS.shape)} tokens")
        states = [x.flatten(0, 1).index_select(0, live) for x in (*listed[:-1], last[-1])]
        if self.head_apart:
            return states, lambda rows: self._told(states[-1][at[rows]], type(output))
        logits_TV = output.logits.flatten(0, 1).index_select(0, live[at])
        return states, lambda rows: logits_TV[rows]

    def find_out(self, texts: PackedBatch) -> None:
        """Learn from a few texts how it can be asked.

        Raises:
            Exception: whatever its family's code raises, if it can be in no way.
        """
        device = next(self.parameters()).device
        at = torch.arange(sum(texts.lengths), device=device)
        some = at[::2]

        def said() -> tuple[Tensor, Tensor]:
            states, words = self.listen(texts, at, layers=False)
            return states[-1], words(some)

        with torch.no_grad():
            whole = said()
            self.head_apart = self.model.base_model is not self.model
            try:
                alike = all(
                    torch.allclose(one, other, rtol=1e-3, atol=1e-3, equal_nan=True)
                    for one, other in zip(whole, said(), strict=True)
                )
            except Exception:  # a family whose head needs more than the states of tokens
                alike = False
            self.head_apart = self.head_apart and alike
            try:
                with torch.autocast(device.type, torch.bfloat16):
                    said()
            except Exception:  # such as DeBERTa's lowest number of fp32, which bf16 has not
                self.bf16 = False

    def _told(self, states_CD: Tensor, kind: Any) -> Tensor:
        """The head alone: logits [C, V] of tokens, by their last states."""
        base = self.model.base_model
        found = kind(last_hidden_state=states_CD[None])
        ids_1C = torch.zeros((1, len(states_CD)), dtype=torch.long, device=states_CD.device)
        base.forward = lambda *_, **__: found  # goes before the class's
        try:
            with self._computing():
                output = self.model(input_ids=ids_1C, attention_mask=ids_1C + 1, return_dict=True)
        finally:
            del base.forward
        logits: Tensor = output.logits[0]
        return logits

    def _computing(self) -> AbstractContextManager[Any]:
        device = next(self.parameters()).device
        return nullcontext() if self.bf16 else torch.autocast(device.type, enabled=False)


def open_foreign_language_model(
    folder: str | Path, *, device: torch.device
) -> tuple[ForeignLanguageModel, ForeignTokenizer]:
    """A folder's masked language model and tokenizer.

    Raises:
        CheckpointError: the folder cannot be read.
        ConfigError: a family without a masked-language-model head, one that is not known, or one that cannot
            be asked.
        MissingExtraError: ``transformers`` is not installed.
    """
    model, tokenizer = read_foreign(
        Path(folder), "MODEL_FOR_MASKED_LM_MAPPING", "a masked-language-model head"
    )
    if tokenizer.mask_token_id is None:
        raise ConfigError(
            "A teacher of masked words must have a token that hides them.",
            received=f"{folder}, whose tokenizer has none",
            remedy="Choose another teacher.",
        )
    opened = ForeignLanguageModel(model, tokenizer.pad_token_id).to(device)
    try:
        opened.find_out(pack([np.array(ids) for ids in tokenizer(TRIED)["input_ids"]]))
    except Exception as error:  # any family's code
        raise unusable(Path(folder), model, error) from None
    return opened, tokenizer


def read_foreign(
    folder: Path, heads: str, wanted: str, *, unneeded: str | None = None
) -> tuple[Any, ForeignTokenizer]:
    """A model in fp32 with one of these heads, and its tokenizer; a part of it may be untrained."""
    try:
        import transformers
    except ImportError:
        raise MissingExtraError(
            "A teacher that is neither BERT nor DistilBERT needs the package transformers.",
            received="it is not installed",
            remedy="Run: pip install transformers",
        ) from None

    content = folder_content(folder)
    kind = model_type(content)
    if kind not in transformers.CONFIG_MAPPING:
        raise ConfigError(
            "A teacher must be of a family that this package or the installed transformers has.",
            received=f"model_type={kind!r:.80} in {folder}; code that a folder brings along is not run",
            remedy="Choose another teacher, or a newer transformers.",
        )
    try:
        config = transformers.CONFIG_MAPPING[kind].from_dict(content)
        table = getattr(transformers, heads)
        found = table.get(type(config), None)
    except Exception as error:
        raise _unreadable(folder, error) from None
    if found is None:
        raise ConfigError(
            f"A teacher must be able to have {wanted}.",
            received=f"{folder} of the family {kind}, which has none",
            remedy="Choose another teacher.",
        )
    kind_of_model = found[0] if isinstance(found, tuple | list) else found
    if hasattr(config, "reference_compile"):
        config.reference_compile = False  # rows of every length would each be compiled
    spoken = logging.getLogger(transformers.__name__)
    level = spoken.level
    spoken.setLevel(logging.ERROR)  # what it warns of here is an error below
    try:
        model, report = kind_of_model.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            attn_implementation="sdpa" if getattr(kind_of_model, "_supports_sdpa", False) else "eager",
        )
        tokenizers: Any = transformers.AutoTokenizer
        backend = tokenizers.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the libraries below raise what they like
        raise _unreadable(folder, error) from None
    finally:
        spoken.setLevel(level)
    if missing := sorted(key for key in report["missing_keys"] if key.split(".")[0] != unneeded):
        raise ConfigError(
            f"A teacher must have {wanted}, trained.",
            received=f"{folder} without {', '.join(missing[:3])}" + (" and more" if missing[3:] else ""),
            remedy="Train it first, or choose another teacher.",
        )
    if not backend.is_fast:
        raise ConfigError(
            "A teacher's tokenizer must be one of the tokenizers library, which says where tokens stand.",
            received=f"{type(backend).__name__} in {folder}",
            remedy="Save it as tokenizer.json beside the model.",
        )
    longest = min(_longest(model), backend.model_max_length, _ANY_LENGTH)
    return model.float().eval(), ForeignTokenizer(backend, int(longest))


def _longest(model: Any) -> int:
    """The longest row that a model has positions for."""
    positions = int(getattr(model.config, "max_position_embeddings", None) or _ANY_LENGTH)
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            # RoBERTa and what stems from it count positions from behind the padding's id on.
            return positions - int(module.padding_idx) - 1
    return positions


def unusable(folder: Path, model: Any, error: Exception) -> ConfigError:
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return ConfigError(
        "A teacher of another family must take tokens and their mask, and answer about each token or text.",
        received=f"{folder} of the family {model.config.model_type}: {said[:300]}",
        remedy="Choose another teacher.",
    )


def _unreadable(folder: Path, error: Exception) -> CheckpointError:
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return CheckpointError(
        "A teacher's folder must hold a configuration, safetensors and a tokenizer that transformers reads.",
        received=f"{folder}: {said[:300]}",
        remedy="Save the model there again with save_pretrained(folder, safe_serialization=True).",
    )
