"""Which trials of a search are ended early: those that are behind others of the same age, in this run of the
search or in an earlier one (ASHA, Li et al. 2020).
"""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distilbert.torch.tuning import Trial

#: Looks before a trial may be ended, and how many times as many the best third of them goes on to.
GRACE, RATIO = 2, 3

#: What stands for a figure that there is none of.
WORST = -1e30


def pruning(earlier: "Iterable[Trial]", *, sign: float) -> Any:
    """Ray's scheduler, which knows of each trial by its looks how good its ``best`` was by then.

    Args:
        earlier: trials that have ended before.
        sign: 1 where the greatest figure is the best, -1 where the least is.
    """
    from ray.tune.schedulers import ASHAScheduler

    scheduler = ASHAScheduler(
        metric="best", mode="max", max_t=10_000, grace_period=GRACE, reduction_factor=RATIO
    )
    nobody: Any = None
    for trial in earlier:
        # All that it asks of a trial is a name, and of who runs it nothing.
        known: Any = SimpleNamespace(trial_id=f"earlier {trial.number}")
        scheduler.on_trial_add(nobody, known)
        best = WORST
        for look, figure in enumerate(trial.looks, start=1):
            best = max(best, sign * figure)
            scheduler.on_trial_result(nobody, known, {"training_iteration": look, "best": best})
        scheduler.on_trial_remove(nobody, known)
    return scheduler
