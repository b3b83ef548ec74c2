"""Why a request is not answered, whatever its protocol: each protocol tells it in its own shape."""

from typing import ClassVar


class Refusal(Exception):  # noqa: N818  # a refusal is an answer of the protocol, and no error of ours
    """A request that gets no answer. Abstract.

    Args:
        message: for whoever asked: no paths, no traces.
    """

    status: ClassVar[int] = 500
    kind: ClassVar[str] = "Backend"

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        #: Seconds after which it may go better.
        self.retry_after = retry_after


class Malformed(Refusal):
    """A body that cannot be read."""

    status, kind = 400, "Validation"


class Empty(Refusal):
    """Nothing is asked."""

    status, kind = 400, "Empty"


class Unauthorized(Refusal):
    """No key, or another."""

    status, kind = 401, "Unauthorized"


class Unknown(Refusal):
    """No such model or route."""

    status, kind = 404, "NotFound"


class Slow(Refusal):
    """A body that does not come."""

    status, kind = 408, "Validation"


class TooLarge(Refusal):
    """More than would ever be let in."""

    status, kind = 413, "Validation"


class WrongType(Refusal):
    """A body of another type."""

    status, kind = 415, "Validation"


class Invalid(Refusal):
    """What is asked cannot be answered."""

    status, kind = 422, "Validation"


class Failed(Refusal):
    """The model could not answer."""

    status, kind = 424, "Backend"


class Overloaded(Refusal):
    """There is no room at present."""

    status, kind = 429, "Overloaded"


class Unready(Refusal):
    """The model is not there yet, or no more."""

    status, kind = 503, "Unhealthy"


class Late(Refusal):
    """The deadline has passed."""

    status, kind = 504, "Overloaded"


class Gone(Refusal):
    """Whoever asked has left; nobody reads this."""

    status, kind = 499, "Gone"
