"""What other libraries ask of a model, under the names by which they ask."""

from typing import ClassVar

from distilbert.core.parameters import Parameter


class Published:
    """Attributes that a model is recognised and handled by. Mixed into ``PreTrainedModel``."""

    #: A loss is the mean over the call's own batch: Trainer divides by the steps that it accumulates.
    accepts_loss_kwargs = False
    #: What accelerate keeps on one device, and wraps as one unit under FSDP.
    _no_split_modules: ClassVar[list[str]] = ["Block"]

    @property
    def _tied_weights_keys(self) -> list[str]:
        """Of the parameters that are another's tensor: peft keeps them so, FSDP ties them anew."""
        return [parameter.key for parameter in self.manifest if parameter.tied_to]

    @property
    def manifest(self) -> tuple[Parameter, ...]:
        """Every parameter of the model."""
        raise NotImplementedError
