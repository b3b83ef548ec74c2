"""What can be changed of a model once it is built: tables, heads, attention, memory for time."""

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.hooks import RemovableHandle

from distilbert.core import rules
from distilbert.core.config import EncoderConfig
from distilbert.errors import ConfigError
from distilbert.torch.embeddings import sinusoids

if TYPE_CHECKING:
    from distilbert.torch.encoder import Encoder

#: Of the covariance of the rows that a new row is drawn by around their mean.
_SPREAD = 1e-9


class Adjustable:
    """The part of every model class that changes what is there. Mixed into ``PreTrainedModel``."""

    config: EncoderConfig
    _input_hook: RemovableHandle | None = None

    @property
    def encoder(self) -> "Encoder":
        """The base model: of a model with a head, what the head stands on."""
        raise NotImplementedError

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of words."""
        return self.encoder.embeddings.word_embeddings

    def set_input_embeddings(self, new_embeddings: nn.Embedding) -> None:
        """Put another table of words in its place, of the same size.

        Raises:
            ConfigError: another size.
        """
        self._refuse_size(new_embeddings)
        self.encoder.embeddings.word_embeddings = new_embeddings
        self.tie_weights()

    def get_output_embeddings(self) -> nn.Linear | None:
        """The projection onto the vocabulary, where the model has one."""
        return None

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        """Put another projection onto the vocabulary in its place.

        Raises:
            ConfigError: the model has none.
        """
        raise ConfigError(
            "Only a masked language model has a projection onto the vocabulary.",
            received=f"a {type(self).__name__}",
            remedy="Set it on the model with that head.",
        )

    def _refuse_size(self, table: nn.Module) -> None:
        wanted = [self.config.vocab_size, self.config.dim]
        weight = getattr(table, "weight", None)
        found = list(weight.shape) if isinstance(weight, Tensor) else f"a {type(table).__name__}"
        if found != wanted:
            raise ConfigError(
                f"A table of this model's words has the shape {wanted}.",
                received=f"{found}",
                remedy="For another number of words call resize_token_embeddings first.",
            )

    def get_position_embeddings(self) -> nn.Embedding:
        """The table of positions."""
        return self.encoder.embeddings.position_embeddings

    def tie_weights(self) -> None:
        """Let tied parameters be one tensor again, after something has replaced them."""

    def resize_token_embeddings(
        self,
        new_num_tokens: int | None = None,
        pad_to_multiple_of: int | None = None,
        mean_resizing: bool = True,
    ) -> nn.Embedding:
        """Give the model another number of words: after ``tokenizer.add_tokens``, ``len(tokenizer)``.

        Args:
            new_num_tokens: rows of the table; None keeps their number.
            pad_to_multiple_of: make it a multiple of this.
            mean_resizing: draw new rows closely around the mean of the old ones, so that new words neither
                win nor lose everywhere at first; else from N(0, ``initializer_range``).

        Returns:
            The table, the same module as before.

        Raises:
            ConfigError: a number that is no size, or none that the padding id is below.
        """
        words = self.get_input_embeddings()
        _refuse_wrapped(words, *filter(None, [self.get_output_embeddings()]))
        count = words.num_embeddings if new_num_tokens is None else new_num_tokens
        count = rules.integer(self.config.pad_token_id + 1)("new_num_tokens", count)
        if pad_to_multiple_of is not None:
            multiple = rules.integer(1)("pad_to_multiple_of", pad_to_multiple_of)
            count = -(-count // multiple) * multiple
        if count == words.num_embeddings:
            return words
        spread = None if mean_resizing else self.config.initializer_range
        words.weight = _resized(words.weight, count, spread=spread)
        words.num_embeddings = count
        projector = self.get_output_embeddings()
        if projector is not None:
            tied = self.config.tie_word_embeddings
            if not tied:
                projector.weight = _resized(projector.weight, count, spread=spread)
            # A tied head's biases grow by zeros, as the peer's do.
            around = mean_resizing and not tied
            projector.bias = _resized(projector.bias, count, spread=None if around else 0.0)
            projector.out_features = count
        self.config.vocab_size = count
        self.tie_weights()
        return words

    def resize_position_embeddings(self, new_num_position_embeddings: int) -> None:
        """Give the model another number of positions; longer texts then pass, and want training.

        Old rows stay. New ones are drawn from N(0, ``initializer_range``), or follow the sines of a
        sinusoidal table.

        Raises:
            ConfigError: a number that is no size.
        """
        count = rules.integer(1)("new_num_position_embeddings", new_num_position_embeddings)
        table = self.get_position_embeddings()
        _refuse_wrapped(table)
        sinusoidal = getattr(self.config, "sinusoidal_pos_embds", False)
        kept = min(table.num_embeddings, count)
        table.weight = _resized(table.weight, count, spread=self.config.initializer_range)
        if sinusoidal:
            with torch.no_grad():
                table.weight[kept:].copy_(sinusoids(count, self.config.dim)[kept:])
        table.num_embeddings = count
        self.config.max_position_embeddings = count

    def prune_heads(self, heads_to_prune: Mapping[int, Sequence[int]]) -> None:
        """Take heads out for good; ``config.pruned_heads`` keeps which, across saving and loading.

        Args:
            heads_to_prune: numbers of heads of the unpruned model, by layer; -1 is the last layer.

        Raises:
            ConfigError: a head or layer that is not there, or all heads of a layer.
        """
        pruned = rules.heads_pruned(self.config.pruned_heads, heads_to_prune, layers=self.config.n_layers)
        for layer in pruned:
            for changed in self.encoder._attentions[layer : layer + 1]:
                _refuse_wrapped(changed.q_lin, changed.k_lin, changed.v_lin, changed.out_lin)
        before = self.config.pruned_heads
        self.config.pruned_heads = pruned
        try:
            self.config.check()
        except ValueError:
            self.config.pruned_heads = before
            raise
        self.encoder._prune()

    def set_attention(self, implementation: str, *, packing: bool | None = None) -> None:
        """Choose the attention anew.

        Args:
            implementation: "eager", "sdpa", "flex_attention" or "flash_attention_2".
            packing: whether padding is taken out of what the model is given; None leaves that as it is.

        Raises:
            ConfigError: there is no such implementation.
            MissingExtraError: it needs a package that is not installed.
        """
        self.encoder._set_attention(implementation, packing)

    def set_attn_implementation(self, attn_implementation: str) -> None:
        """``set_attention``, under the peer's name."""
        self.set_attention(attn_implementation)

    def gradient_checkpointing_enable(
        self, gradient_checkpointing_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        """In training, keep no activations within blocks, and compute them again in backward.

        Args:
            gradient_checkpointing_kwargs: of ``torch.utils.checkpoint``; ``use_reentrant`` is False
                where they do not say.

        Raises:
            ConfigError: a keyword that it does not have.
        """
        known = [p.name for p in signature(checkpoint).parameters.values() if p.kind is p.KEYWORD_ONLY]
        for name in gradient_checkpointing_kwargs or {}:
            if name not in (*known, "preserve_rng_state"):
                raise ConfigError(
                    f"torch.utils.checkpoint takes {', '.join(known)} and preserve_rng_state.",
                    received=f"gradient_checkpointing_kwargs with {name!r}",
                    remedy="Correct the name, or leave it out.",
                )
        self.encoder._set_recomputing({"use_reentrant": False, **(gradient_checkpointing_kwargs or {})})

    def gradient_checkpointing_disable(self) -> None:
        """Keep activations again."""
        self.encoder._set_recomputing(None)

    @property
    def is_gradient_checkpointing(self) -> bool:
        return self.encoder.transformer.recompute is not None

    def enable_input_require_grads(self) -> None:
        """Let gradients reach the states of words, which some ways of recomputing need of a frozen table."""
        self.disable_input_require_grads()
        words = self.get_input_embeddings()
        self._input_hook = words.register_forward_hook(lambda _module, _given, x: x.requires_grad_(True))

    def disable_input_require_grads(self) -> None:
        """Put an end to ``enable_input_require_grads``."""
        if self._input_hook is not None:
            self._input_hook.remove()
            self._input_hook = None


def _refuse_wrapped(*modules: nn.Module) -> None:
    """Refuse to change the weights of what something else stands around.

    Raises:
        ConfigError: adapters, or another library's module, in the place of a plain one.
    """
    for module in modules:
        if "weight" not in module._parameters:
            raise ConfigError(
                "Tables and heads are changed of plain modules.",
                received=f"a {type(module).__name__} in the place of one",
                remedy="Change them first and wrap the model afterwards, or merge its adapters.",
            )


def _resized(old: Tensor, rows: int, *, spread: float | None) -> nn.Parameter:
    """The first rows of a table, and new ones from N(0, ``spread``), or around the old ones' mean."""
    new = old.new_empty((rows, *old.shape[1:]))
    kept = min(len(old), rows)
    with torch.no_grad():
        new[:kept] = old[:kept]
        if spread is not None:
            new[kept:].normal_(0.0, spread) if spread else new[kept:].zero_()
        elif rows > kept:
            # A vector has no covariance but a variance: as one column.
            wide = old.double().reshape(len(old), -1)
            mean = wide.mean(0)
            # Not by Cholesky: of a table with fewer rows than columns the covariance has no full rank.
            sizes, axes = torch.linalg.eigh((wide - mean).T @ (wide - mean) * (_SPREAD / len(old)))
            noise = torch.randn((rows - kept, len(sizes)), dtype=wide.dtype, device=old.device)
            drawn = mean + (noise * sizes.clamp(min=0).sqrt()) @ axes.T
            new[kept:] = drawn.reshape(new[kept:].shape)
    return nn.Parameter(new, requires_grad=old.requires_grad)
