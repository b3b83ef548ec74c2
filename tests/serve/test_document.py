"""The OpenAPI document, taken at its word: whatever it allows is answered as it says."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from running_server import Client, serving
from served_folders import write_served_folders


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One of its own: what the document allows may load models and let them go."""
    folders = write_served_folders(tmp_path_factory.mktemp("served"), "classes", "masks", "vectors")
    with serving(folders, deadline=20.0) as client:
        yield client


def test_whatever_the_document_allows_is_answered_as_it_says(server: Client) -> None:
    schemathesis = pytest.importorskip("schemathesis", reason="what reads the document is not installed")
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    checks = [
        not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance
    ]  # fmt: skip
    document = schemathesis.openapi.from_url(f"{server.address}/openapi.json")
    asked: Counter[str] = Counter()
    for found in document.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=6,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            case.call_and_validate(checks=checks, timeout=60)
            asked[case.operation.label] += 1

        ask()
    paths = server.get("/openapi.json").json()["paths"]
    assert len(asked) == sum(map(len, paths.values()))
    # After all of that it is as it was.
    assert server.get("/health").status == 200
    assert server.answer("/models/vectors", {"inputs": "a song"})
    assert server.app.state.desk.admission.requests == 0
