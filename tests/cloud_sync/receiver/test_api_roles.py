"""Who may read what by the API: tokens from the command, roles, expiry, revocation; nothing of them in the database."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import StreamingResponse

from cloud_sync.commands.platform import main
from cloud_sync.pages.streams import Streams
from cloud_sync.receiver.api import ENDPOINTS, FOLD_MS, Api, Call
from cloud_sync.receiver.api_access import Asker
from cloud_sync.receiver.stores.base import StoreError
from cloud_sync.receiver.stores.opening import open_existing, open_writes
from cloud_sync.receiver.stores.tokens import (
    ADMIN,
    INTEGRATOR,
    ROLES,
    TECHNICIAN,
    TokenError,
    add_token,
    list_tokens,
    revoke_token,
)
from protocol.batch import LiveBed
from tests.cloud_sync.receiver.test_platform_api import TOKEN, Bench, bench
from tests.cloud_sync.samples import START_UTC_MS, alarm, minute, night

__all__ = ["bench"]

SAID_OF_RESIDENTS = ("王秀兰", "秀兰", "Ann Smith", "r-wang")


@pytest.fixture
def full(bench: Bench) -> Bench:
    """Something of everything that could be told."""
    bench.take(alarm(), night(), minute())
    bench.hear(LiveBed("101-A", "present", belt="belt-1", heart_rate_bpm=61, heart_reason=0, watched=True))
    return bench


def answers(bench: Bench, role: str) -> dict[str, tuple[int, str]]:
    """path -> status and text, of every endpoint that ends by itself."""
    client, header = bench.client(TOKEN, is_open=False), bench.token(role)
    found = {}
    for endpoint in ENDPOINTS:
        if endpoint.answer != "text/event-stream":
            path = endpoint.path.replace("{resident_id}", "r-wang")
            answer = client.get(path, headers=header)
            found[path] = (answer.status_code, answer.text)
    return found


@pytest.mark.parametrize("role", ROLES)
def test_a_role_reads_what_its_endpoints_say_and_nothing_else(full: Bench, role: str) -> None:
    found = answers(full, role)
    for endpoint in ENDPOINTS:
        path = endpoint.path.replace("{resident_id}", "r-wang")
        if path in found and endpoint.roles:
            assert found[path][0] == (200 if role in endpoint.roles else 403), path


def test_an_integrator_is_told_no_name(full: Bench) -> None:
    texts = [text for _, text in answers(full, INTEGRATOR).values()]
    assert not any(name in text for text in texts for name in SAID_OF_RESIDENTS[:3])
    assert sum("r-wang" in text for text in texts) >= 5
    assert sum("王秀兰" in text for _, text in answers(full, ADMIN).values()) == 2


def test_a_technician_is_told_nothing_of_residents(full: Bench) -> None:
    found = answers(full, TECHNICIAN)
    assert not any(said in text for _, text in found.values() for said in SAID_OF_RESIDENTS)
    (bed,) = [bed for bed in json.loads(found["/api/beds"][1])["beds"] if bed["bed"] == "101-A"]
    assert (bed["watched"], bed["stale"], bed["live"]) == (True, False, None)


def test_a_token_opens_nothing_once_it_was_revoked(bench: Bench) -> None:
    client, header = bench.client(is_open=False), bench.token(ADMIN)
    assert client.get("/api/stats", headers=header).status_code == 200
    with closing(open_existing(bench.folder / "r.db")) as database:
        revoke_token(database, "of-admin", START_UTC_MS)
    assert client.get("/api/stats", headers=header).status_code == 401


def test_a_token_opens_nothing_once_its_days_are_over(bench: Bench) -> None:
    day_ms, now_ms = 86_400_000, time.time_ns() // 1_000_000
    with closing(open_existing(bench.folder / "r.db")) as database:
        made = {days: add_token(database, f"{days}", ADMIN, days, now_ms - 5 * day_ms) for days in (4, 6)}
    client = bench.client(is_open=False)
    status = {days: client.get("/api/stats", headers={"Authorization": f"Bearer {text}"}).status_code
              for days, text in made.items()}  # fmt: skip
    assert status == {4: 401, 6: 200}


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic sbt_x", "Bearer sbt_x", "Bearer sbt_" + "é" * 20, "Bearer " + "x" * 5000]
)
def test_what_is_no_token_is_refused_also_where_anybody_may_look(bench: Bench, header: str) -> None:
    client = bench.client()
    assert client.get("/api/stats").status_code == 200
    assert client.get("/api/stats", headers={"Authorization": header.encode()}).status_code == 401


def test_a_token_is_found_in_no_byte_of_the_database(bench: Bench) -> None:
    text = bench.token(ADMIN)["Authorization"].removeprefix("Bearer ")
    assert not any(text.encode() in file.read_bytes() for file in bench.folder.iterdir())


@pytest.mark.parametrize(
    ("name", "role", "days", "why"),
    [("a b", ADMIN, None, "name has"), ("a", "root", None, "no role"), ("a", ADMIN, 0, "1 to 3650"),
     ("known", ADMIN, None, "already")],
)  # fmt: skip
def test_a_token_that_cannot_be_made_is_refused_by_name(
    bench: Bench, name: str, role: str, days: int | None, why: str
) -> None:
    with closing(open_existing(bench.folder / "r.db")) as database:
        add_token(database, "known", ADMIN, None, START_UTC_MS)
        with pytest.raises(TokenError, match=why):
            add_token(database, name, role, days, START_UTC_MS)
        assert [token.name for token in list_tokens(database)] == ["known"]


def test_the_command_makes_lists_and_revokes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_writes(tmp_path / "receiver.db").close()

    def said(*words: str) -> Any:
        assert main(["token", *words, "--data", str(tmp_path), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    made = said("add", "nurse-call", "--role", "integrator", "--days", "30")
    assert (made["role"], made["token"][:4], len(made["token"])) == ("integrator", "sbt_", 47)
    (row,) = said("list")["tokens"]
    assert (row["name"], row["valid"]) == ("nurse-call", True)
    assert row["expires_utc_ms"] - row["made_utc_ms"] == 30 * 86_400_000
    said("revoke", "nurse-call")
    assert said("list")["tokens"][0]["valid"] is False
    assert main(["token", "revoke", "nobody", "--data", str(tmp_path)]) == 2
    assert "no token 'nobody'" in capsys.readouterr().err


def test_the_command_needs_a_database_that_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["token", "list", "--data", str(tmp_path)]) == 1
    assert "start sleepbelt receiver once" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_another_version_is_left_to_its_receiver(tmp_path: Path) -> None:
    path = tmp_path / "receiver.db"
    open_writes(path).close()
    with closing(open_existing(path)) as database:
        database.execute("PRAGMA user_version=2")
    with pytest.raises(StoreError, match="brings its database up to date"):
        open_existing(path)


@pytest.mark.parametrize("role", [ADMIN, TECHNICIAN])
async def test_live_states_are_told_at_once_and_then_only_of_beds_that_changed(full: Bench, role: str) -> None:
    streams = Streams(1)
    answer = await Api(full.platform, full.home.devices, streams).live(Call(Asker("t", role), {}, {}))
    assert isinstance(answer, StreamingResponse)
    pieces = answer.body_iterator

    async def beds() -> list[dict[str, Any]]:
        async for piece in pieces:
            if isinstance(piece, bytes) and piece.startswith(b"event: live"):
                break
        data = bytes(piece).split(b"data: ")[1]  # type: ignore[arg-type]
        return [{key: bed[key] for key in ("bed", "watched", "live")} for bed in json.loads(data)["beds"]]

    first = await beds()
    full.hear(LiveBed("101-B", "absent", watched=True))
    (changed,) = await beds()
    await streams.close()
    assert [bed["bed"] for bed in first] == ["101-A", "101-B"]
    assert (changed["bed"], changed["watched"]) == ("101-B", True)
    assert changed["live"] == (None if role == TECHNICIAN else {**changed["live"], "state": "absent"})


def views(bench: Bench) -> list[tuple[str, str, str, str]]:
    rows = bench.home.people_now(lambda people: people.audit(None, 1000))
    return sorted((row.account, row.role, row.resident_id, row.detail) for row in rows if row.kind == "api")


def test_every_read_of_residents_by_a_token_is_in_the_audit_under_its_name(full: Bench) -> None:
    found = answers(full, INTEGRATOR)
    noted = views(full)
    assert {row[:2] for row in noted} == {(f"of-{INTEGRATOR}", INTEGRATOR)}
    of_residents = {path for path, (status, text) in found.items() if status == 200 and "r-wang" in text}
    assert of_residents <= {row[3].replace("{resident_id}", "r-wang") for row in noted}
    assert {row[3] for row in noted if row[2] == "r-wang"} == {
        "/api/residents/{resident_id}", "/api/residents/{resident_id}/nights", "/api/residents/{resident_id}/minutes"}
    assert not any(row[3] in ("/api/gaps", "/api/devices", "/api/stats", "/metrics") for row in noted)


def test_a_technicians_token_reads_nothing_that_the_audit_would_keep(full: Bench) -> None:
    answers(full, TECHNICIAN)
    assert views(full) == []


def test_the_same_read_again_is_the_same_view_for_ten_minutes(full: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    client, header = full.client(TOKEN, is_open=False), full.token(INTEGRATOR)
    for _ in range(3):
        assert client.get("/api/residents/r-wang/nights", headers=header).status_code == 200
    assert len(views(full)) == 1
    now_ms = full.platform.now_utc_ms() + FOLD_MS
    monkeypatch.setattr(full.platform, "now_utc_ms", lambda: now_ms)
    client = full.client(TOKEN, is_open=False)
    client.get("/api/residents/r-wang/nights", headers=header)
    assert client.get("/api/residents/r-nobody/nights", headers=header).status_code == 404
    assert [row[2] for row in views(full)] == ["r-wang", "r-wang"]


def test_what_cannot_be_written_down_is_not_shown(full: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(full.home, "note", fails)
    answer = full.client(TOKEN, is_open=False).get("/api/residents", headers=full.token(INTEGRATOR))
    assert answer.status_code == 503
    assert "r-wang" not in answer.text
