"""uvicorn_alone: what is borrowed from the inside of uvicorn, and what a gateway that runs does not load."""

from __future__ import annotations

import json
import subprocess
import sys

NOT_FOR_A_SERVER = ("click", "uvicorn.main", "uvicorn.supervisors", "multiprocessing")


def loaded_by(script: str) -> set[str]:
    """The modules that an interpreter of its own has loaded after this script."""
    script += "\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    return set(json.loads(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout))


def test_the_server_comes_without_the_command_line() -> None:
    assert loaded_by("from cloud_sync.pages.server import PageServer").isdisjoint(NOT_FOR_A_SERVER)


def test_whoever_asks_uvicorn_itself_gets_what_it_has() -> None:
    asked = "import cloud_sync.pages.server, uvicorn, uvicorn.server; assert uvicorn.Server is uvicorn.server.Server"
    assert "uvicorn.main" in loaded_by(f"{asked}; uvicorn.run")


def test_a_uvicorn_that_is_there_is_taken_as_it_is() -> None:
    loaded_by(
        "import uvicorn\nfrom cloud_sync.pages.server import PageServer\nassert issubclass(PageServer, uvicorn.Server)"
    )


def test_a_gateway_without_a_broker_loads_no_library_for_one() -> None:
    assert loaded_by("import gateway.app, gateway.commands.run, cloud_sync.broker_url").isdisjoint(
        {"aiomqtt", "paho", "urllib.request"})
