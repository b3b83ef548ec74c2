"""The PyTorch wing."""

try:
    import torch as _torch  # noqa: F401  # the wing's one need, checked once and said once
except ImportError:
    from distilbert.errors import MissingExtraError

    raise MissingExtraError.of("torch", wanted="The PyTorch wing", missing="torch") from None
