"""The Keras wing."""

try:
    import tensorflow as _tensorflow  # noqa: F401  # the wing's one need, checked once and said once
except ImportError:
    from distilbert.errors import MissingExtraError

    raise MissingExtraError.of("keras", wanted="The Keras wing", missing="tensorflow") from None
