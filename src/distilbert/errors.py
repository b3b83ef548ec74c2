"""Every error a user can meet.

DistilBertError
├── ConfigError         a size, rate or name that a model cannot have          (ValueError)
├── DataError           texts, tables or labels that cannot be used            (ValueError)
├── CheckpointError     a folder or file of weights that cannot be read        (OSError)
│   └── HubError        one that a hub, or what is kept of it, does not give
├── TeacherError        a teacher on a server that does not answer              (OSError)
├── OutputError         a place that cannot be written                         (OSError)
├── TrainingError       a run that cannot go on                                (RuntimeError)
├── WorkerError         a process that computed and has died                    (RuntimeError)
└── MissingExtraError   a feature whose packages are not installed             (ImportError)

Each message states the rule, what was received, and the remedy.
"""

#: Characters that a message shows of what was received: room for every key of a large model.
MAX_RECEIVED = 20_000


class DistilBertError(Exception):
    """Root of the tree: ``except DistilBertError`` catches whatever this package raises on purpose.

    Args:
        rule: what must hold, as one sentence.
        received: what was there instead, without a full stop.
        remedy: what to do about it, as one sentence.
    """

    def __init__(self, rule: str, *, received: str, remedy: str) -> None:
        if len(received) > MAX_RECEIVED:
            received = received[:MAX_RECEIVED] + "…"
        super().__init__(f"{rule} Received: {received}. {remedy}")
        self.rule = rule
        self.received = received
        self.remedy = remedy

    def __str__(self) -> str:
        # OSError and ImportError would each print their arguments in a way of their own.
        return f"{self.rule} Received: {self.received}. {self.remedy}"

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling of exceptions.
        return _rebuild, (type(self), self.rule, self.received, self.remedy)


class ConfigError(DistilBertError, ValueError):
    """A size, rate or name that a model cannot have."""


class DataError(DistilBertError, ValueError):
    """Texts, tables or labels that cannot be used."""


class CheckpointError(DistilBertError, OSError):
    """A folder or file of weights that cannot be read."""


class HubError(CheckpointError):
    """A model that a hub does not give, and that is not kept from earlier."""


class TeacherError(DistilBertError, OSError):
    """A teacher on a server that does not answer; what it did answer is kept."""


class OutputError(DistilBertError, OSError):
    """A place that cannot be written."""


class TrainingError(DistilBertError, RuntimeError):
    """A run that cannot go on."""


class WorkerError(DistilBertError, RuntimeError):
    """A process that computed and has died; another takes its place."""


class MissingExtraError(DistilBertError, ImportError):
    """A feature whose packages are not installed."""

    @classmethod
    def of(cls, extra: str, *, wanted: str, missing: str) -> "MissingExtraError":
        """The error for ``wanted`` (a feature) that lacks the package ``missing``."""
        return cls(
            f"{wanted} needs the package {missing}.",
            received="it is not installed",
            remedy=f"Run: pip install 'distilbert[{extra}]'",
        )


def _rebuild(kind: type[DistilBertError], rule: str, received: str, remedy: str) -> DistilBertError:
    return kind(rule, received=received, remedy=remedy)
