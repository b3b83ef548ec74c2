"""A name or a folder in, a local folder out: models are fetched from a hub into its client's cache."""

import logging
import os
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distilbert.core.files import make_folder, read_json, write_atomically, write_json
from distilbert.core.hub_errors import broken_off, is_unreachable, reason, refusal, usable_token
from distilbert.core.hub_files import MODEL, WHOLE, Part, gather
from distilbert.errors import ConfigError, HubError, OutputError

__all__ = ["MODEL", "WHOLE", "Part", "hub_keywords", "local_folder", "refuse_unless_name"]

logger = logging.getLogger(__name__)

#: ``name`` or ``owner/name``.
_NAME = re.compile(r"(?:\w[\w.-]*/)?\w(?:[\w.-]*\w)?", re.ASCII)
_LONGEST_NAME = 96
_COMMIT = re.compile(r"[0-9a-f]{40}")


def local_folder(
    name_or_folder: str | os.PathLike[str],
    *,
    wanted: Collection[Part | str] = WHOLE,
    revision: str | None = None,
    subfolder: str = "",
    cache_dir: str | os.PathLike[str] | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
    variant: str | None = None,
    use_safetensors: bool | None = None,
) -> Path:
    """The folder of a model: an existing one as it is, else the hub's of that name, fetched where it must be.

    Only files that will be read are fetched, and weights of one kind. They lie in the cache of the hub's own
    client, where other programs find them too. A hub that does not answer is stood in for by the cache.

    Args:
        name_or_folder: a folder; or ``name`` or ``owner/name`` on the hub that ``HF_ENDPOINT`` names.
        wanted: the parts that will be read. Those of them that no model can be without must be there.
        revision: a branch, tag or commit; None for the main branch. Of a folder it says nothing.
        subfolder: inside the folder or the repository.
        cache_dir: in place of the client's own cache.
        token: of who is asking; None for that of whoever has logged in, False for none.
        local_files_only: ask nobody, and take what the cache holds.
        force_download: fetch what the cache holds, too.
        variant: of the weights, such as ``fp16``.
        use_safetensors: True for these weights only, False for any but these; None takes them first.

    Raises:
        ConfigError: arguments that contradict each other, or a subfolder or revision that leads elsewhere.
        HubError: neither a folder nor a hub's name, no such repository or revision, one without what is
            wanted, no hub that answers and nothing in the cache, or a download that broke off.
        OutputError: the cache cannot be written.
    """
    subfolder = _inside("subfolder", subfolder)
    name = os.fspath(name_or_folder) if isinstance(name_or_folder, os.PathLike) else name_or_folder
    if not isinstance(name, str):
        raise ConfigError(
            "A model is named by text or a path.",
            received=f"a {type(name).__name__}",
            remedy="Give its folder, or its name on a hub.",
        )
    folder = Path(name)
    if os.path.isdir(name):  # of no name at all a Path would make the current folder
        return folder / subfolder
    refuse_unless_name(name)
    revision = _inside("revision", revision) or "main"
    if local_files_only and force_download:
        raise ConfigError(
            "What is to be fetched cannot come from this machine only.",
            received="local_files_only=True, force_download=True",
            remedy="Leave one of them out.",
        )
    kinds = frozenset(Part(part) for part in wanted)
    repository = _Repository(name, revision, subfolder, cache_dir, token)
    choice = {"parts": kinds, "variant": variant, "use_safetensors": use_safetensors}
    if local_files_only:
        return repository.cached(choice, why="local_files_only=True")
    repository = replace(repository, token=usable_token(token))
    try:
        commit, names = repository.listing()
    except Exception as error:
        # Whatever the client raises is said in our words; it has a dozen kinds, of two libraries.
        if not is_unreachable(error):
            raise refusal(error, asked=repository.asked, token=token, folder=folder.absolute()) from None
        why = reason(error)
    else:
        return repository.fetched(commit, names, choice, force=force_download)
    found = repository.cached(choice, why=why)
    if not repository.is_offline:
        logger.warning("%s does not answer (%s): %s is read from the cache.", repository.endpoint, why, name)
    return found


def refuse_unless_name(name: str) -> None:
    """Refuse what is no folder and is not spelled as a hub's names are.

    Raises:
        HubError: it is neither.
    """
    last = name.rsplit("/", 1)[-1]
    if (
        _NAME.fullmatch(name)
        and len(name) <= _LONGEST_NAME
        and not any(part in name for part in ("..", "--"))
        and not last.endswith(".git")
    ):
        return
    raise HubError(
        "A model is named by its folder, or by its name on a hub: name or owner/name.",
        received=f"{name!r:.200}, and no folder {_absolute(name)}",
        remedy="Check the path.",
    )


def hub_keywords(keywords: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The published keywords that say where a model is, for ``local_folder``, and the other keywords.

    Of those of older days ``use_auth_token`` is another name of ``token``, and ``resume_download`` says what
    is always done. ``trust_remote_code`` allows what is never done.

    Raises:
        ConfigError: ``proxies``, which the client reads from the environment.
    """
    others = dict(keywords)
    names = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder")
    where = {name: others.pop(name) for name in names if name in others}
    others.pop("resume_download", None)
    others.pop("trust_remote_code", None)
    older = others.pop("use_auth_token", None)
    if older is not None and where.get("token") is None:
        where["token"] = older
    if others.pop("proxies", None):
        raise ConfigError(
            "A proxy is named by the environment.",
            received="proxies=...",
            remedy="Set HTTPS_PROXY for the process.",
        )
    return where, others


@dataclass(frozen=True)
class _Repository:
    """One revision of a repository, on the hub and in the cache."""

    name: str
    revision: str
    subfolder: str
    cache_dir: str | os.PathLike[str] | None
    token: str | bool | None

    @property
    def endpoint(self) -> str:
        from huggingface_hub import constants

        return str(constants.ENDPOINT)

    @property
    def is_offline(self) -> bool:
        """Whether ``HF_HUB_OFFLINE`` keeps the client from asking anybody."""
        from huggingface_hub import constants

        return bool(constants.HF_HUB_OFFLINE)

    @property
    def cache(self) -> Path:
        from huggingface_hub import constants

        return Path(self.cache_dir or constants.HF_HUB_CACHE).absolute()

    @property
    def asked(self) -> str:
        inside = f", subfolder {self.subfolder}" if self.subfolder else ""
        return f"{self.name} at revision {self.revision}{inside} of the hub {self.endpoint}"

    def listing(self) -> tuple[str, set[str]]:
        """The commit that the revision is now, and the repository's files."""
        from huggingface_hub import HfApi, constants

        # With a limit of time: without one the client would wait for a dead hub for ever.
        info = HfApi().model_info(
            self.name,
            revision=self.revision,
            token=self.token,
            timeout=constants.HF_HUB_ETAG_TIMEOUT,
        )
        if info.sha is None or not _COMMIT.fullmatch(info.sha):
            raise OSError("an answer without a commit")
        return info.sha, {file.rfilename for file in info.siblings or ()}

    def fetched(self, commit: str, names: set[str], choice: Mapping[str, Any], *, force: bool) -> Path:
        """The folder with the files that are wanted, each of them whole."""
        from huggingface_hub import HfApi, constants

        prefix = f"{self.subfolder}/" if self.subfolder else ""
        paths: dict[str, Path] = {}

        def get(name: str) -> Path:
            if name not in paths:
                try:
                    # A commit's file that lies in the cache is not asked for again.
                    there = HfApi().hf_hub_download(
                        self.name,
                        prefix + name,
                        revision=commit,
                        cache_dir=self.cache,
                        token=self.token,
                        force_download=force,
                        etag_timeout=constants.HF_HUB_ETAG_TIMEOUT,
                    )
                except Exception as error:
                    if not is_unreachable(error):
                        folder = Path(self.name).absolute()
                        raise refusal(error, asked=self.asked, token=self.token, folder=folder) from None
                    raise broken_off(error, file=prefix + name, asked=self.asked, cache=self.cache) from None
                paths[name] = Path(there)
            return paths[name]

        self._note_listing(commit, names)
        here = {name.removeprefix(prefix) for name in names if name.startswith(prefix)}
        gather(here, get, source=self.asked, **choice)
        self._remember(commit)
        return self._snapshot(commit) / self.subfolder

    def cached(self, choice: Mapping[str, Any], *, why: str) -> Path:
        """The folder as an earlier call has left it.

        Args:
            choice: what is wanted.
            why: the hub is not asked.
        """
        commit = self.revision if _COMMIT.fullmatch(self.revision) else self._remembered()
        if commit is None or not self._snapshot(commit).is_dir():
            kinds = ", ".join(sorted(choice["parts"]))
            raise HubError(
                "A model must be a local folder, in the cache, or on a hub that answers.",
                received=f"{self.asked} (wanted: {kinds}): {why}, nothing of it in the cache {self.cache}, "
                f"and no folder {_absolute(self.name)}",
                remedy="Check the spelling, the network and HF_ENDPOINT, or name a local folder.",
            )
        folder = self._snapshot(commit) / self.subfolder
        names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        source = f"the cached copy {folder} ({why})"

        def get(name: str) -> Path:
            if name not in names:
                raise HubError(
                    "All that is read of a model must have come to the cache.",
                    received=f"{source} without {name}, which the hub has",
                    remedy="Ask the hub once more; what has come is kept.",
                )
            return folder / name

        gather(self._listed(commit) or names, get, source=source, **choice)
        return folder

    @property
    def _storage(self) -> Path:
        return self.cache / "--".join(("models", *self.name.split("/")))

    def _snapshot(self, commit: str) -> Path:
        return self._storage / "snapshots" / commit

    def _note_listing(self, commit: str, names: Collection[str]) -> None:
        """Note which files a commit has, before any is fetched: of a download that broke off some lack."""
        path = self._storage / ".listings" / f"{commit}.json"
        if not path.exists():
            with suppress(OutputError):  # a cache that may only be read has no halves
                make_folder(path.parent)
                write_json(path, sorted(names))

    def _listed(self, commit: str) -> set[str]:
        """The files of the subfolder, as the hub has listed them; none where another program has asked."""
        prefix = f"{self.subfolder}/" if self.subfolder else ""
        path = self._storage / ".listings" / f"{commit}.json"
        names = read_json(path, kind=list, missing_is_empty=True)
        return {str(name).removeprefix(prefix) for name in names if str(name).startswith(prefix)}

    def _remember(self, commit: str) -> None:
        """Note which commit the revision was, where the client and its other users look for it."""
        if commit in (self.revision, self._remembered()):
            return
        path = self._storage / "refs" / self.revision
        make_folder(path.parent)
        write_atomically(path, commit.encode())

    def _remembered(self) -> str | None:
        try:
            commit = (self._storage / "refs" / self.revision).read_text().strip()
        except (OSError, ValueError):
            return None
        return commit if _COMMIT.fullmatch(commit) else None


def _inside(argument: str, path: str | None) -> str:
    """A path in a repository, with its parts between single slashes; none for None.

    Raises:
        ConfigError: it leads out of it, or is no text.
    """
    if not isinstance(path, str | None):
        raise ConfigError(
            f"{argument} must be text.",
            received=f"{argument} as a {type(path).__name__}",
            remedy="Leave it out, or give its name.",
        )
    path = path or ""
    parts = path.replace("\\", "/").split("/")
    if path.startswith(("/", "\\")) or ".." in parts or ":" in path or "\0" in path:
        raise ConfigError(
            f"{argument} must stay inside the repository.",
            received=f"{argument}={path!r:.200}",
            remedy="Give a relative path without '..'.",
        )
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _absolute(path: str) -> str:
    return f"{Path(path).absolute()!s:.300}"
