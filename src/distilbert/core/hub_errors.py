"""What a hub's client raises, said in our words."""

import errno
import re
from pathlib import Path
from typing import Any

from distilbert.core.files import unwritable
from distilbert.errors import ConfigError, DistilBertError, HubError

#: What a full, missing or protected disk says. Errors of a connection have other numbers, or none.
_DISK = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOTDIR,
    errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG,
)  # fmt: skip

#: Packages whose errors stand for one of a connection.
_CLIENTS = {"huggingface_hub", "requests", "urllib3", "http", "httpx", "httpcore"}


_TOKEN = re.compile(r"\s*[!-~]+\s*")
#: What a client may say of a token: it stands in the head of a request.
_SECRET = re.compile(r"(Bearer\s+|hf_)[^\s'\"\\]+")


def usable_token(token: str | bool | None) -> str | bool | None:
    """The token without space around it, where it is one that can be sent.

    Raises:
        ConfigError: it cannot, or is that of nobody. What it is is not said.
    """
    if token is True:
        from huggingface_hub import get_token

        if get_token() is None:
            raise ConfigError(
                "token=True stands for the token of whoever has logged in.",
                received="nobody has",
                remedy="Give token=..., log in with the hub's own program, or leave it out.",
            )
    if not isinstance(token, str | bool | None) or (isinstance(token, str) and not _TOKEN.fullmatch(token)):
        raise ConfigError(
            "A token is one word of letters, digits and signs.",
            received="something else",
            remedy="Copy it again from the hub's page of tokens.",
        )
    return token.strip() if isinstance(token, str) else token


def status_of(error: BaseException) -> int | None:
    """The status with which the hub answered; None where it did not."""
    asked: BaseException | None = error
    while asked is not None:
        status = getattr(getattr(asked, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
        asked = asked.__cause__
    return None


def is_unreachable(error: BaseException) -> bool:
    """Whether asking again later may help: no answer, or that of a hub which is busy or broken."""
    status = status_of(error)
    return status is None or status == 429 or status >= 500


def reason(error: BaseException) -> str:
    """What went wrong at the bottom, in a few words: clients wrap it several times."""
    status = status_of(error)
    if status is not None:
        return f"the answer {status}"
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) or type(inner).__module__.split(".")[0] in _CLIENTS:
            error = inner
        inner = inner.__cause__ or inner.__context__
    lines = str(getattr(error, "strerror", None) or error).strip().splitlines()
    said = _SECRET.sub(r"\1…", lines[0]) if lines else ""
    return f"{type(error).__name__}: {said:.160}" if said else type(error).__name__


def is_of_disk(error: BaseException) -> bool:
    """Whether the place to write to is at fault, not the hub."""
    return isinstance(error, OSError) and error.errno in _DISK


def refusal(error: Exception, *, asked: str, token: str | bool | None, folder: Path) -> HubError:
    """The error for an answer that says no.

    Args:
        error: the client's.
        asked: the name, the revision and the endpoint, as a message has them.
        token: that was given; it is never said.
        folder: that was looked for first.
    """
    from huggingface_hub.errors import GatedRepoError, RevisionNotFoundError

    received = f"{asked}, {reason(error)}"
    access = (
        "give token=..., or log in with the hub's own program"
        if token is None
        else "check what the token may do"
    )
    if isinstance(error, RevisionNotFoundError):
        return HubError(
            "A revision must be a branch, a tag or a commit of the repository.",
            received=received,
            remedy="Leave it out for the main branch, or choose one that its page lists.",
        )
    if isinstance(error, GatedRepoError):
        return HubError(
            "A gated repository is for those whom its owner has let in.",
            received=received,
            remedy=f"Ask for access on its page, then {access}.",
        )
    return HubError(
        "A model is a local folder, or a repository on the hub that the token may read.",
        received=f"{received}, and no folder {folder}",
        remedy=f"Check the spelling; where the repository is private, {access}.",
    )


def broken_off(error: Exception, *, file: str, asked: str, cache: Path) -> DistilBertError:
    """The error for a file that did not come whole."""
    if is_of_disk(error):
        return unwritable(cache, _as_os_error(error))
    return HubError(
        "A download must come to its end.",
        received=f"{file} of {asked}, broken off by {reason(error)}",
        remedy="Try again: files that came whole are kept in the cache.",
    )


def _as_os_error(error: Any) -> OSError:
    return error if isinstance(error, OSError) else OSError(str(error))
