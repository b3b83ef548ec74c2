"""Where a user keeps what is made again if it is lost."""

import os
from pathlib import Path


def users_folder(name: str) -> Path | None:
    """A folder of this user's own, or None where this user has none.

    Args:
        name: of the folder in ``$DISTILBERT_CACHE``, or in ``distilbert`` in the user's own cache.
    """
    if ours := os.environ.get("DISTILBERT_CACHE"):
        return Path(ours, name)
    try:
        users = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:  # a user without a home
        return None
    return Path(users, "distilbert", name)
