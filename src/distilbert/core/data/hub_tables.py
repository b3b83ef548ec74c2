"""Data sets that a hub has, by name: the files of a split, in the Parquet form that the hub keeps of each."""

import re
from collections.abc import Sequence
from pathlib import Path

from distilbert.core.hub_errors import is_unreachable, reason
from distilbert.errors import DataError

#: The branch on which a hub keeps every data set as ``<subset>/<split>/0000.parquet``.
_BRANCH = "refs/convert/parquet"

#: GLUE (Wang et al. 2019) is one data set there, and its tasks are subsets: ``glue/sst2``.
_GLUE = "nyu-mll/glue"

#: ``owner/name``, a subset, and a split.
_NAME = re.compile(r"([\w.-]+)/([\w.-]+)(?:/([\w.-]+))?(?::([\w.-]+))?", re.ASCII)

#: Splits to judge by, in the order in which they are looked for.
JUDGED = ("validation", "validation_matched", "dev", "test")


def is_hub_name(place: str) -> bool:
    """Whether that may be the name of a data set on a hub."""
    return bool(_NAME.fullmatch(place)) and ".." not in place


def split_files(name: str, splits: Sequence[str]) -> list[Path]:
    """A split's files, fetched into the cache of the hub's client where they are not there yet.

    Args:
        name: ``owner/name``, where there are several subsets ``owner/name/subset``, of GLUE
            ``glue/task``; ``:split`` may follow.
        splits: the first of these that there is, where the name says none.

    Raises:
        DataError: there is no such data set, subset or split, or the hub does not answer.
    """
    match = _NAME.fullmatch(name)
    assert match is not None
    owner, last, subset, own = match.groups()
    repository = f"{owner}/{last}"
    if owner.lower() == "glue":
        repository, subset = _GLUE, last
    names = _listed(name, repository)
    there = {tuple(path.split("/")[:2]) for path in names if path.endswith(".parquet")}
    subsets = sorted({one for one, _ in there})
    if subset is None:
        subset = subsets[0] if len(subsets) == 1 else "default"
    split = next((one for one in ([own] if own else splits) if (subset, one) in there), None)
    if split is None:
        known = ", ".join(f"{one}:{other}" for one, other in sorted(there)) or "nothing in Parquet"
        raise DataError(
            "A data set of the hub is named with one of its subsets and splits: owner/name/subset:split.",
            received=f"{name}, of which there are {known:.400}",
            remedy="Choose one of these.",
        )
    wanted = sorted(path for path in names if path.startswith(f"{subset}/{split}/"))
    return [_fetched(name, repository, path) for path in wanted]


def _listed(name: str, repository: str) -> list[str]:
    """The files of a data set: as the hub tells, or else those that were fetched before."""
    from huggingface_hub import HfApi, snapshot_download

    try:
        return list(HfApi().list_repo_files(repository, repo_type="dataset", revision=_BRANCH))
    except Exception as error:  # the client's errors have a dozen kinds, of two libraries
        if not is_unreachable(error):
            raise DataError(
                "A table is a file, a folder, or a data set of the hub that the login may read.",
                received=f"{name}, {reason(error)}, and no file or folder of that name",
                remedy="Check the spelling, or log in with the hub's own program.",
            ) from None
        why = reason(error)
    try:
        kept = snapshot_download(repository, repo_type="dataset", revision=_BRANCH, local_files_only=True)
    except Exception:  # likewise; that nothing is kept is all that they can mean
        raise _unreachable(name, why) from None
    return [path.relative_to(kept).as_posix() for path in Path(kept).rglob("*.parquet")]


def _fetched(name: str, repository: str, path: str) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, path, repo_type="dataset", revision=_BRANCH))
    except Exception as error:  # likewise
        raise _unreachable(name, reason(error)) from None


def _unreachable(name: str, why: str) -> DataError:
    return DataError(
        "A data set that is no file or folder here is fetched from the hub, which must answer.",
        received=f"{name}, {why}, and nothing of it kept from earlier",
        remedy="Check the path, or go online; what was fetched once is kept.",
    )
