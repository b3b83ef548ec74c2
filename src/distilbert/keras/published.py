"""Published names that scripts and libraries around a model ask it for: what it is, its size."""

from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np

from distilbert.core.config import EncoderConfig
from distilbert.core.parameters import Head, Parameter, Role, manifest
from distilbert.keras.loading import places, variable
from distilbert.keras.modules import Composed


class Published(Composed, keras.Model):
    """The part of every model class that answers. ``PreTrainedModel`` is made of it. Abstract."""

    main_input_name: ClassVar[str] = "input_ids"
    framework: ClassVar[str] = "tf"
    head: ClassVar[Head] = Head.NONE
    #: What draws what is dropped in training.
    seeds: keras.random.SeedGenerator

    def __dir__(self) -> list[str]:
        # Keras looks here for what a ``.keras`` file keeps, and follows names that lead back to the model
        # around in circles.
        return [name for name in super().__dir__() if name not in ("base_model", "encoder")]

    @property
    def _default_save_signature(self) -> None:
        """None: TensorFlow would take the shapes that layers are built with for those of ids."""

    def export(
        self,
        filepath: str | Path,
        format: str = "tf_saved_model",  # noqa: A002  # Keras' name
        verbose: bool | None = None,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> None:
        """Write what answers without this package and without Keras, as Keras' ``export``.

        Args:
            filepath: the folder, or the file, to write.
            format: "tf_saved_model", or another of Keras'.
            verbose: print what was written.
            input_signature: of what a call is given; by default ``input_ids`` and ``attention_mask``, rows of
                any number and length.
            **kwargs: further arguments of Keras'.
        """
        if input_signature is None:
            shape = (None,) * (3 if self.head is Head.MULTIPLE_CHOICE else 2)
            names = ("input_ids", "attention_mask")
            spec = {name: keras.InputSpec(shape=shape, dtype="int32", name=name) for name in names}
            input_signature = [spec]
        super().export(
            str(filepath), format=format, verbose=verbose, input_signature=input_signature, **kwargs
        )

    @property
    def config(self) -> EncoderConfig:
        raise NotImplementedError

    @property
    def manifest(self) -> tuple[Parameter, ...]:
        """Every parameter of this model, by its key."""
        return manifest(self.config, self.head)

    @classmethod
    def can_generate(cls) -> bool:
        """Whether it writes text. An encoder does not."""
        return False

    @property
    def num_labels(self) -> int:
        return self.config.num_labels

    @property
    def dummy_inputs(self) -> dict[str, Any]:
        """A small batch, to try a model with."""
        shape = (1, 2, 2) if self.head is Head.MULTIPLE_CHOICE else (1, 2)
        return {name: np.ones(shape, np.int32) for name in ("input_ids", "attention_mask")}

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """How many numbers the model has; a tied table counts once.

        Args:
            only_trainable: of those that learn.
            exclude_embeddings: without the tables of words and positions.
        """
        own = places(self.manifest)
        return sum(
            int(np.prod(parameter.shape))
            for parameter in self.manifest
            if not parameter.tied_to
            and not (exclude_embeddings and parameter.role is Role.EMBEDDING)
            and not (only_trainable and not variable(self, own[parameter.key]).trainable)
        )
