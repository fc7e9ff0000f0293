"""schemathesis asks the API whatever its own document allows and forbids: no server error, and the document is true."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.generation import GenerationMode

from cloud_sync.receiver.api import ENDPOINTS
from protocol.batch import LiveBed
from tests.cloud_sync.postgres_server import postgres_server
from tests.cloud_sync.receiver.test_platform_api import TOKEN, Bench, bench_on
from tests.cloud_sync.samples import alarm, minute, night

EXAMPLES = 20  # of each endpoint, mode and database: some 30 s together
ENDING = [endpoint.path for endpoint in ENDPOINTS if endpoint.answer != "text/event-stream"]


@pytest.fixture(params=["sqlite", "postgresql"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    with contextlib.ExitStack() as stack:
        where = tmp_path / "r.db" if request.param == "sqlite" else stack.enter_context(postgres_server())
        yield stack.enter_context(bench_on(where, tmp_path))


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_whatever_is_asked_is_answered_as_the_document_says(bench: Bench, mode: GenerationMode) -> None:
    bench.take(alarm(), night(), minute())
    bench.hear(LiveBed("101-A", "present", heart_rate_bpm=61, heart_reason=0, watched=True))
    bench.platform.is_connected = lambda: True
    header = {"Authorization": f"Bearer {TOKEN}", "Host": "127.0.0.1"}
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", bench.app(TOKEN), headers=header)
    for path in ENDING:
        operation = schema[path]["GET"]
        if mode is GenerationMode.NEGATIVE and not (operation.query or operation.path_parameters):
            continue  # nothing there can be wrong

        @given(case=operation.as_strategy(mode))
        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
                  suppress_health_check=list(HealthCheck))
        def ask(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate(headers=header)

        ask()
