"""A serial port as the relay's drive: what is none is named, and a port without control lines is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.alerter.serial_contact import SerialContact, check_serial_port
from gateway.config import ConfigError, load_config


def test_a_port_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert check_serial_port(str(tmp_path / "ttyUSB0")) == f"{tmp_path}/ttyUSB0: No such file or directory"


def test_a_file_is_no_serial_port(tmp_path: Path) -> None:
    file = tmp_path / "ttyUSB0"
    file.write_text("")
    with pytest.raises(OSError, match="ttyUSB0 is no serial port"):
        SerialContact(str(file))


def test_a_terminal_without_control_lines_is_refused_by_its_name() -> None:
    controller, terminal = os.openpty()
    try:
        with pytest.raises(OSError, match="has no control lines"):
            SerialContact(os.ttyname(terminal))
    finally:
        os.close(controller)
        os.close(terminal)


def test_the_relay_process_names_the_port_and_fails(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway.alerter.relay_process", "--serial", "/dev/null", "--socket",
         str(tmp_path / "relay.sock")],
        capture_output=True, text=True, timeout=20, check=False,
    )
    assert done.returncode == 1
    assert "relay: /dev/null has no control lines" in done.stderr


@pytest.mark.parametrize(
    ("lines", "path"),
    [
        ('relay_serial = "COM3"', "alerter.relay_serial"),
        ('relay_serial = "/dev/shm"', "alerter.relay_serial"),
        ('relay_serial = "/dev/ttyUSB0"\nrelay_pin = 22', "alerter.relay_serial"),
        ('relay_serial = "/dev/ttyUSB0"\nrelay_pulse_pin = 22', "alerter.relay_pulse_pin"),
    ],
)
def test_a_wrong_port_in_the_configuration_is_named(lines: str, path: str, tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(f'[gateway]\nid = "g"\ndata_dir = "d"\n[alerter]\n{lines}\n[[beds]]\nlabel = "A"\n', "utf-8")
    with pytest.raises(ConfigError) as refused:
        load_config(file)
    assert [problem.path for problem in refused.value.problems] == [path]
