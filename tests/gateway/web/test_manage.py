"""Pages of leads and admins: settings that act at once, accounts, answers, audit; and who may not."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gateway.cores.audit import AuditEntry
from gateway.cores.profile import SHIPPED
from gateway.past_nights import span_of
from gateway.store_evidence import settings_rows
from gateway.store_files import Chunk, StoreFiles, Writes
from protocol.batch import Reading, VitalsChunk, encode_item
from tests.gateway.small_gateway import compressed_clock, running
from tests.gateway.test_app import armed
from tests.gateway.test_past_nights import at
from tests.gateway.web.managed_gateway import Browser, browsing, form, managed


async def audited(talk: object, kind: str) -> list[AuditEntry]:
    await talk.gateway._store.flushed()  # type: ignore[attr-defined]
    return [e for _, e in await talk.gateway.management.audit(500) if e.kind == kind]  # type: ignore[attr-defined]


# -- settings ----------------------------------------------------------------------------------------------------------


async def test_what_a_lead_saves_is_in_force_at_once_and_after_a_restart(tmp_path: Path) -> None:
    config = managed(tmp_path)
    async with browsing(config, "lead") as (browser, talk):
        answer = await browser.post("/settings/101-1", **form())
        assert (answer.status_code, answer.headers["location"]) == (303, "/settings/101-1?saved=1")
        in_force = talk.gateway.room.ward.profile("101-1")
        assert [window.as_mapping() for window in in_force.windows] == [
            {"days": "1234567", "start": "21:00", "end": "07:00", "allowed_s": 600}
        ]
        assert in_force.settle_s == 30  # of the configuration file, which this page leaves alone
        (record,) = await audited(talk, "settings")
        assert (record.bed, record.who, record.why) == ("101-1", "lead", "asked by the family")
        assert json.loads(record.detail)["changed"]["windows"][1][0]["allowed_s"] == 600
    async with running(config) as talk:
        assert talk.gateway.room.ward.profile("101-1").as_mapping() == in_force.as_mapping()
        plan = talk.gateway.management.plan("101-1")
        assert plan is not None
        assert (plan.row is not None, plan.base.profile) == (True, "standard")


async def test_a_shorter_allowance_alarms_a_running_absence_at_once_and_a_longer_one_clears_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in compressed_clock().items():
        monkeypatch.setenv(name, value)
    overrides = "settle_s = 2\nallowed_s = 80000\nwindows = [{ all_day = true }]"
    every_day = {"w0_start": "", "w0_end": "", "w0_all_day": "on"}
    async with browsing(managed(tmp_path, overrides=overrides), "lead") as (browser, talk):
        await armed(talk)
        await talk.until(lambda bed: bed["deadline_ms"] is not None, keep=lambda: talk.report("empty", 6))
        await browser.post("/settings/101-1", **form(allowed="0", **every_day))
        assert talk.gateway.port.snapshot()["beds"][0]["alarm"]["state"] == "unacknowledged"
        await browser.post("/settings/101-1", **form(allowed="600", **every_day))
        assert talk.gateway.port.snapshot()["beds"][0]["alarm"]["state"] == "unacknowledged"


async def test_a_profile_without_own_hours_brings_its_own(tmp_path: Path) -> None:
    async with browsing(managed(tmp_path), "lead") as (browser, talk):
        await browser.post("/settings/101-1", **form(profile="high-fall-risk", hours="profile", allowed=""))
        in_force = talk.gateway.room.ward.profile("101-1")
        assert (in_force.priority, in_force.windows) == ("high", SHIPPED["high-fall-risk"].windows)
        await browser.post("/settings/101-1", **form(hours="off", allowed=""))
        assert talk.gateway.room.ward.profile("101-1").windows == ()


async def test_a_wrong_field_is_named_beside_it_and_nothing_is_saved(tmp_path: Path) -> None:
    async with browsing(managed(tmp_path), "lead") as (browser, talk):
        before = talk.gateway.room.ward.profile("101-1")
        cases = (({"allowed": "ten"}, "allowed"), ({"w0_end": "21:00"}, "w0_start"), ({"why": ""}, "why"))
        for changes, field in cases:
            answer = await browser.post("/settings/101-1", **form(**changes))
            assert answer.status_code == 422
            assert f'id="{field}-error"' in answer.text
            assert 'value="07:00"' in answer.text or "w0_end" in changes  # what was typed is still there
        assert talk.gateway.room.ward.profile("101-1") == before
        assert talk.gateway.management.history("101-1") == []


async def test_an_earlier_version_and_the_files_settings_can_be_brought_back(tmp_path: Path) -> None:
    config = managed(tmp_path)
    async with browsing(config, "lead") as (browser, talk):
        of_file = talk.gateway.room.ward.profile("101-1").as_mapping()
        await browser.post("/settings/101-1", **form())
        first = talk.gateway.room.ward.profile("101-1").as_mapping()
        await browser.post("/settings/101-1", **form(allowed="40"))
        await browser.post("/settings/101-1", do="undo", version="1")
        assert talk.gateway.room.ward.profile("101-1").as_mapping() == first
        assert (await browser.post("/settings/101-1", do="undo", version="77")).status_code == 404
        await browser.post("/settings/101-1", do="base", why="")
        assert talk.gateway.room.ward.profile("101-1").as_mapping() == of_file
        page = (await browser.get("/settings/101-1")).text
        assert "back to version 1" in page
        assert "configuration file" in page
    files = StoreFiles(config.gateway.data_dir)
    rows = files.evidence(settings_rows)
    files.close()
    assert [(row.version, row.who, row.body is None) for row in rows] == [
        (1, "lead", False), (2, "lead", False), (3, "lead", False), (4, "lead", True)
    ]  # fmt: skip


async def test_a_form_older_than_somebody_elses_change_overwrites_nothing(tmp_path: Path) -> None:
    async with browsing(managed(tmp_path), "lead") as (browser, talk):
        await browser.post("/settings/101-1", **form(seen="0"))
        first = talk.gateway.room.ward.profile("101-1")
        assert (await browser.post("/settings/101-1", **form(seen="0", allowed="40"))).status_code == 409
        assert talk.gateway.room.ward.profile("101-1") == first
        previewed = await browser.post("/settings/101-1", **form(seen="0", do="preview"))
        assert 'name="seen" value="0"' in previewed.text  # looking at a preview is not having seen theirs
        assert (await browser.post("/settings/101-1", **form(seen="1", allowed="40"))).status_code == 303


async def test_settings_are_shown_with_their_source_in_both_languages(tmp_path: Path) -> None:
    async with browsing(managed(tmp_path), "lead") as (browser, _):
        page = (await browser.get("/settings")).text
        assert "daily 22:00–06:00, 40 min" in page
        await browser.post("/settings/101-1", **form())
        assert "version 1, lead" in (await browser.get("/settings")).text
        shown = (await browser.get("/api/settings/101-1")).json()
        assert (shown["source"], shown["versions"][0]["why"]) == ("saved", "asked by the family")
        await browser.get("/preference?language=zh&back=/settings")
        assert "第 1 版，lead" in (await browser.get("/settings")).text
        assert "当前生效" in (await browser.get("/settings/101-1")).text


async def test_only_leads_and_admins_set_beds_and_only_from_our_own_form(tmp_path: Path) -> None:
    async with browsing(managed(tmp_path)) as (browser, talk):
        answer = await browser.get("/settings")
        assert (answer.status_code, answer.headers["location"]) == (303, "/login?back=/settings")
        assert (await browser.get("/api/statistics")).status_code == 401
        for account, page in (("carer", "/"), ("technician", "/provision")):
            await browser.sign_in(account)
            assert (await browser.get("/settings/101-1")).status_code == 403
            assert (await browser.post("/settings/101-1", page, **form())).status_code == 403
            assert (await browser.get("/api/audit")).status_code == 403
        await browser.sign_in("lead")
        assert (await browser.client.post("/settings/101-1", data={"csrf": "0" * 64, **form()})).status_code == 403
        assert (await browser.get("/accounts")).status_code == 403
        assert (await browser.get("/settings/nowhere")).status_code == 404
        assert talk.gateway.management.history("101-1") == []


async def test_a_preview_shows_the_last_nights_and_saves_nothing(tmp_path: Path) -> None:
    config = managed(tmp_path)
    night = datetime.now(ZoneInfo("Asia/Shanghai")).date()
    store_of(config.gateway.data_dir, night)
    async with browsing(config, "lead") as (browser, talk):
        answer = await browser.post("/settings/101-1", **form(do="preview", why=""))
        assert answer.status_code == 200
        assert "02:10:00 Alarm" in answer.text
        assert 'value="07:00"' in answer.text  # the form is still there
        assert talk.gateway.management.history("101-1") == []
        assert [(e.who, e.bed, e.detail) for e in await audited(talk, "view") if e.bed] == [
            ("lead", "101-1", "preview")
        ]
        wrong = await browser.post("/settings/101-1", **form(do="preview", w0_end="x"))
        assert (wrong.status_code, 'id="w0_end-error"' in wrong.text) == (422, True)


def store_of(folder: Path, tonight: date) -> None:
    """Last night in the store: in bed from 21:00, out from 02:00 to 02:15."""
    start_ms, _ = span_of(tonight - timedelta(days=1), "Asia/Shanghai")
    files, writes = StoreFiles(folder), Writes()
    for from_s, to_s, state in ((at(21), at(2), 2), (at(2), at(2, 15), 0), (at(2, 15), at(6), 2)):
        for start in range(from_s, to_s, 60):
            readings = tuple(Reading(second, state, heart_reason=1, respiration_reason=1)
                             for second in range(start, start + 60))  # fmt: skip
            chunk = VitalsChunk("101-1", "b", 1, start, start_ms + start * 1000, True, 60, readings)
            writes.chunks.append(Chunk("101-1", chunk.start_utc_ms, encode_item(chunk)))
    files.commit(writes)
    files.close()


# -- accounts ----------------------------------------------------------------------------------------------------------


async def test_the_first_admin_is_made_with_the_printed_token_and_only_once(tmp_path: Path) -> None:
    config = managed(tmp_path, accounts=False)
    async with browsing(config) as (browser, talk):
        token = talk.gateway.ready()["setup_token"]
        fields = {"token": token, "name": "head nurse", "pin": "9173", "again": "9173"}
        refused = await browser.post("/setup", **{**fields, "token": "guess"})
        assert (refused.status_code, 'id="token-error"' in refused.text) == (422, True)
        assert (await browser.post("/setup", **{**fields, "pin": "1234", "again": "1234"})).status_code == 422
        assert (await browser.post("/setup", **{**fields, "again": "9174"})).status_code == 422
        assert (await browser.post("/setup", **fields)).status_code == 303
        assert (await browser.client.get("/setup")).headers["location"] == "/"
        assert (await browser.post("/setup", "/login", **fields)).status_code == 404
        assert (await browser.sign_in("head nurse", "9173")).status_code == 303
        assert (await browser.get("/accounts")).status_code == 200
    async with browsing(config) as (browser, talk):
        assert "setup_token" not in talk.gateway.ready()
        assert (await browser.sign_in("head nurse", "9173")).status_code == 303
    assert b"9173" not in (tmp_path / "data" / "events.db").read_bytes()


async def test_an_admin_adds_changes_and_removes_accounts_and_their_sessions_end(tmp_path: Path) -> None:
    async with browsing(managed(tmp_path), "admin") as (browser, talk):
        new = {"name": "night", "role": "carer", "pin": "5912", "again": "5912", "do": "put"}
        assert (await browser.post("/accounts", **new)).status_code == 303
        other = Browser(type(browser.client)(base_url=talk.gateway.page))
        assert (await other.sign_in("night", "5912")).status_code == 303
        assert "Signed" in (await other.get("/")).text or "night" in (await other.get("/")).text
        assert (await browser.post("/accounts", **{**new, "role": "lead", "pin": "7701", "again": "7701"})).is_redirect
        assert (await other.get("/settings")).is_redirect  # the session ended with the old PIN
        assert (await other.sign_in("night", "5912")).status_code == 401
        assert (await other.sign_in("night", "7701")).status_code == 303
        assert (await browser.post("/accounts", name="night", do="remove")).is_redirect
        assert (await other.get("/settings")).is_redirect
        assert (await browser.post("/accounts", name="lead", do="remove")).status_code == 409  # in the file
        assert (await browser.post("/accounts", **{**new, "role": "boss"})).status_code == 422
        await other.client.aclose()
        kinds = [(e.kind, e.who, e.detail) for k in ("account", "account_removed") for e in await audited(talk, k)]
        assert kinds == [
            ("account", "admin", "night carer"), ("account", "admin", "night lead"),
            ("account_removed", "admin", "night lead"),
        ]  # fmt: skip


# -- evidence ----------------------------------------------------------------------------------------------------------


async def test_sign_ins_and_views_are_audited_once_an_hour(tmp_path: Path) -> None:
    async with browsing(managed(tmp_path)) as (browser, talk):
        await browser.sign_in("lead", "0000")
        await browser.sign_in("lead")
        for _ in range(3):
            await browser.get("/")
        await browser.get("/statistics")
        assert [e.who for e in await audited(talk, "sign_in_failed")] == ["lead"]
        assert [(e.who, e.detail) for e in await audited(talk, "sign_in")] == [("lead", "from 127.0.0.1")]
        assert [(e.who, e.detail) for e in await audited(talk, "view")] == [("lead", "/"), ("lead", "/statistics")]
        page = (await browser.get("/audit")).text
        assert "Sign-in refused" in page
        records = (await browser.get("/api/audit?last=2")).json()["records"]
        assert [record["kind"] for record in records][-1] == "view"
        assert (await browser.get("/api/audit?last=x")).status_code == 400


async def test_statistics_of_a_quiet_ward_have_no_rates(tmp_path: Path) -> None:
    async with browsing(managed(tmp_path, more='[statistics]\nshifts = ["06:00", "18:00"]\n'), "lead") as (browser, _):
        answer = (await browser.get("/api/statistics?days=7")).json()
        assert [(row["bed"], row["shift"]) for row in answer["figures"]] == [
            ("", ""), ("", "06:00-18:00"), ("", "18:00-06:00")
        ]  # fmt: skip
        assert {row["nuisance_rate"] for row in answer["figures"]} == {None}
        assert (await browser.get("/statistics?days=7")).status_code == 200
        assert (await browser.get("/api/statistics?days=0")).status_code == 400
