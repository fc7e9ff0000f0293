"""The demo's plan is the night it claims to be, and its relay cuts like a dead router."""

from __future__ import annotations

import asyncio
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from hil.commands import demo
from hil.demo import plan
from hil.demo.proxy import CuttableRelay
from hil.synth import script

NIGHT = plan.plan_night(plan.NIGHTS, date(2026, 11, 24))


def _utc(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="minutes")


def test_the_night_is_last_night_in_the_facility() -> None:
    assert _utc(NIGHT.start_ms) == "2026-11-23T13:30+00:00"  # 21:30 in Shanghai
    assert _utc(NIGHT.end_ms) == "2026-11-23T23:00+00:00"


def test_times_after_midnight_belong_to_the_next_day() -> None:
    assert plan.instant_ms("23:10", NIGHT, "x") - NIGHT.start_ms == 100 * 60_000
    assert plan.instant_ms("01:30", NIGHT, "x") - NIGHT.start_ms == 240 * 60_000


@pytest.mark.parametrize("text", ["25:00", "soon", "12:00", ""])
def test_a_time_that_is_none_or_outside_the_night_names_the_option(text: str) -> None:
    with pytest.raises(plan.PlanError, match="--kill-gateway"):
        plan.instant_ms(text, NIGHT, "--kill-gateway")


@pytest.mark.parametrize("text", ["22:00", "23:00-22:00", "22:00-22:00", "a-b"])
def test_an_interval_that_is_none_names_the_option(text: str) -> None:
    with pytest.raises(plan.PlanError, match="--cut-uplink"):
        plan.interval_ms(text, NIGHT, "--cut-uplink")


def test_every_bed_of_the_demo_lives_through_another_night() -> None:
    assert len({script.load(name).seed for name in plan.NIGHTS}) == len(plan.BEDS)


@pytest.mark.parametrize("names", [["quiet"], ["demo_quiet", "demo_quiet", "short_exit"], ["no-such-night"] * 3])
def test_nights_that_do_not_fit_together_are_refused(names: list[str]) -> None:
    with pytest.raises(plan.PlanError, match="--nights"):
        plan.plan_night(names, date(2026, 11, 24))


def test_the_gateway_configuration_is_toml_with_one_bed_a_belt(tmp_path: Path) -> None:
    belts = [{"serial": f"534230303030303{n}", "key": "00" * 16} for n in range(3)]
    text = plan.gateway_toml(tmp_path, 'unix:/tmp/a "b"', belts, None, 0, plan.BEDS)
    read = tomllib.loads(text)
    assert [bed["label"] for bed in read["beds"]] == [bed.label for bed in plan.BEDS]
    assert "uplink" not in read
    assert read["radio"]["adapter"] == 'unix:/tmp/a "b"'


@pytest.mark.parametrize(
    "arguments",
    [["--speed", "0"], ["--speed", "9999"], ["--for", "-1"], ["--cut-uplink", "x"], ["--kill-gateway", "x"]],
)
def test_a_wrong_option_is_bad_input(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = demo.main(arguments)
    except SystemExit as ended:
        code = int(str(ended.code))
    assert code == 2
    assert arguments[0] in capsys.readouterr().err


def test_a_folder_in_use_is_refused_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "precious").write_text("data")
    assert demo.main(["--dir", str(tmp_path)]) == 2
    assert "not empty" in capsys.readouterr().err


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
        await writer.drain()
    writer.close()


async def _gone(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(5), 5) == b""
    except ConnectionError:
        return True


async def test_a_cut_drops_what_stands_and_refuses_what_comes_until_restored() -> None:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    relay = CuttableRelay(server.sockets[0].getsockname()[:2])
    await relay.start()

    async def works() -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
            writer.write(b"hello")
            answered = await asyncio.wait_for(reader.read(5), 5) == b"hello"
            writer.close()
        except ConnectionError:
            return False
        return answered

    assert await works()
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    writer.write(b"stand")
    assert await reader.read(5) == b"stand"
    relay.cut()
    assert await _gone(reader)
    assert not await works()
    relay.restore()
    assert await works()
    await relay.close()
    server.close()
