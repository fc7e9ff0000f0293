"""Which board this is. Everything that differs between boards is in board_pico, board_esp32 and board_host."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from .ring import BlockDevice
    from .sampler import Sensor

    class Board(Protocol):
        """What a board gives the belt."""

        @property
        def model(self) -> int: ...
        @property
        def reset_cause(self) -> int: ...
        @property
        def sensor(self) -> Sensor: ...
        @property
        def load(self) -> Sensor | None: ...  # the static channel, where one is fitted
        @property
        def flash(self) -> BlockDevice: ...  # the record ring's own sectors
        @property
        def config_directory(self) -> str: ...
        @property
        def slots_directory(self) -> str: ...
        @property
        def ble(self) -> Any: ...
        @property
        def uuid(self) -> Any: ...
        def ticks_ms(self) -> int: ...
        def aes(self, key: bytes) -> Callable[[bytes], bytes]: ...
        def idle(self, ms: int) -> None: ...
        def feed_watchdog(self) -> None: ...
        def note(self, tasks: int) -> None: ...  # kept in memory that a watchdog's reset spares
        @property
        def noted(self) -> int: ...  # by the run before; -1: nothing
        def battery_percent(self) -> int: ...
        def identify(self, seconds: int) -> None: ...
        def self_test(self) -> int: ...
        def reset(self) -> None: ...


MODEL_EMULATED, MODEL_PICO_W, MODEL_PICO_2_W = 0, 1, 2
MODEL_ESP32_S3, MODEL_ESP32_C3, MODEL_ESP32_C6 = 3, 4, 5


def open_board() -> "Board":
    """The board this interpreter runs on."""
    if sys.platform == "rp2":
        from .board_pico import PicoBoard

        return PicoBoard()
    if sys.platform == "esp32":
        from .board_esp32 import Esp32Board

        return Esp32Board()
    from .board_host import HostBoard

    return HostBoard()
