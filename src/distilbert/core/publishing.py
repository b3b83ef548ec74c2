"""What is saved into a folder, sent to a hub as well."""

import os
import tempfile
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from distilbert.core.files import unwritable, weights_patterns
from distilbert.core.hub import hub_keywords, refuse_unless_name
from distilbert.core.hub_errors import is_of_disk, reason, usable_token
from distilbert.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo


class Publishable:
    """Something that ``save_pretrained`` writes into a folder, and ``push_to_hub`` into a repository."""

    #: Whether ``save_pretrained`` writes weights, and takes how.
    _has_weights: ClassVar[bool] = False

    @abstractmethod
    def save_pretrained(self, save_directory: str | Path) -> Any:
        """Write the published files into a folder."""

    def push_to_hub(
        self,
        repo_id: str,
        use_temp_dir: bool | None = None,
        commit_message: str | None = None,
        private: bool | None = None,
        token: str | bool | None = None,
        max_shard_size: int | str | None = None,
        create_pr: bool = False,
        safe_serialization: bool = True,
        revision: str | None = None,
        commit_description: str | None = None,
        **saving: Any,
    ) -> "CommitInfo":
        """Save into a repository, which is made where there is none; its other files stay.

        Of a model's weights those go that the new ones supersede: a whole file, or an index and shards.

        Args:
            repo_id: ``name`` or ``owner/name``, on the hub that ``HF_ENDPOINT`` names.
            use_temp_dir: accepted and without effect: files to send are always written apart.
            commit_message: the first line of what the history says.
            private: of a repository that is made; None as its owner has it.
            token: of who is sending; None for that of whoever has logged in.
            max_shard_size: of a model, as ``save_pretrained``; without effect where there are no weights.
            create_pr: propose the change, rather than make it.
            safe_serialization: as ``max_shard_size``.
            revision: the branch to write to, made where there is none; None for the main branch.
            commit_description: more of what the history says.
            **saving: arguments of ``save_pretrained``.

        Returns:
            The commit, as the hub's client describes it.

        Raises:
            ConfigError: a token that cannot be one.
            OutputError: the hub does not take it, or does not answer.
        """
        _refuse_folders(repo_id)
        from huggingface_hub import HfApi

        api = HfApi(token=usable_token(token))
        if self._has_weights:
            saving["safe_serialization"] = safe_serialization
            if max_shard_size is not None:
                saving["max_shard_size"] = max_shard_size
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, **saving)
            try:
                name = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
                if revision is not None and not revision.startswith("refs/"):
                    api.create_branch(name, branch=revision, exist_ok=True)
                return api.upload_folder(
                    repo_id=name,
                    folder_path=folder,
                    commit_message=commit_message or f"Upload {type(self).__name__}",
                    commit_description=commit_description,
                    revision=revision,
                    create_pr=create_pr,
                    # In the same commit: readers would take them for the new ones, or never need them.
                    delete_patterns=weights_patterns(saving.get("variant")) if self._has_weights else None,
                )
            except Exception as error:
                # Whatever the client raises is said in our words; it has a dozen kinds, of two libraries.
                if is_of_disk(error) and isinstance(error, OSError):
                    raise unwritable(Path(folder), error) from None
                raise OutputError(
                    "A repository to push to must be on a hub that answers, and the token must be allowed to "
                    "write there.",
                    received=f"{repo_id} on the hub {api.endpoint}, {reason(error)}",
                    remedy="Check the name and the network, and give token=... of who may write.",
                ) from None

    def _push_saved(self, save_directory: str | os.PathLike[str], push_to_hub: bool, pushing: Any) -> None:
        """The end of a ``save_pretrained`` that has been asked to push, too.

        Args:
            save_directory: whose name is the repository's where ``repo_id`` is not given.
            push_to_hub: whether to.
            pushing: further arguments of ``push_to_hub``, as ``save_pretrained`` was given them.

        Raises:
            ConfigError: arguments that say how to push, and nothing to be pushed.
            OutputError: as ``push_to_hub``.
        """
        # A pipeline gives its model's choice to its tokenizer, too, which has no weights to make it of.
        pushing = {
            name: value for name, value in pushing.items() if name != "safe_serialization" or push_to_hub
        }
        if push_to_hub:
            where, others = hub_keywords(pushing)
            repo_id = others.pop("repo_id", None) or Path(save_directory).resolve().name
            self.push_to_hub(repo_id, **where, **others)
        elif pushing:
            raise ConfigError(
                "Arguments that say how to push need push_to_hub=True.",
                received=", ".join(sorted(pushing)),
                remedy="Add it, or leave them out.",
            )


def _refuse_folders(repo_id: str) -> None:
    try:
        refuse_unless_name(repo_id)
    except OSError:
        raise OutputError(
            "A repository is named name or owner/name.",
            received=f"{repo_id!r:.200}",
            remedy="Choose such a name, of letters, digits, '-', '_' and '.'.",
        ) from None
