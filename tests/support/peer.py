"""The peer's models with our weights, through a folder, as a user would carry them over."""

import tempfile
import warnings

import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the peer's own imports warn of its own plans
    import transformers

transformers.logging.set_verbosity_error()

#: fp32 against fp32, both rounding as they like: padded against alone differs by half of this in either.
ATOL = 1e-5


def peer_of(model: torch.nn.Module) -> torch.nn.Module:
    """The peer's class of the same name, loaded from the folder that ours has written."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        peer, report = getattr(transformers, type(model).__name__).from_pretrained(
            folder, output_loading_info=True
        )
    # A BERT's pooler belongs to the peer's base model and to none of ours.
    assert not report["unexpected_keys"]
    assert not report["missing_keys"], report["missing_keys"]
    return peer.eval()


def largest_difference(ours: torch.Tensor, theirs: torch.Tensor, live: torch.Tensor | None = None) -> float:
    """The largest absolute difference, over live positions only where they are given."""
    difference = (ours - theirs).detach().abs()
    if live is not None:
        difference = difference[live.bool()]
    return float(difference.max()) if difference.numel() else 0.0
