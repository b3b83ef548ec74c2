"""The JAX wing."""

try:
    import jax as _jax  # noqa: F401  # the wing's one need, checked once and said once
except ImportError:
    from distilbert.errors import MissingExtraError

    raise MissingExtraError.of("jax", wanted="The JAX wing", missing="jax") from None
