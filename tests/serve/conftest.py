"""One server of all heads, which the tests of protocols share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from running_server import Client, serving
from served_folders import write_served_folders


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each head."""
    return write_served_folders(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="session")
def client(served: dict[str, Path]) -> Iterator[Client]:
    """A server of them all."""
    with serving(served) as client:
        yield client
