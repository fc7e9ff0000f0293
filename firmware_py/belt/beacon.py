"""The status beacon: what is advertised each second, sealed under a counter that never comes twice."""

from protocol.wire import beacon, session

from .config import BEACON_BLOCK, Config

PREPARE_COUNTERS = 600  # ten minutes of them
RETRY_S = 60

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Aes = Callable[[bytes], Callable[[bytes], bytes]]


class Beacon:
    """Advertising payloads of one belt; reserves its counters in flash in blocks, before the first is used."""

    def __init__(self, config: Config, aes: "Aes") -> None:
        self._config = config
        self._aes = aes
        self._counter = config.values["beacon_reserved"]
        self._key = b""
        self._last = b""
        self._refused_s = 0  # payloads asked for since flash refused a block, 0: it did not
        self._encrypt: "Callable[[bytes], bytes]" = aes(bytes(16))

    def payload(self, report: "tuple[int, ...]") -> bytes:
        """31 bytes of advertising data for the second that `report` (frames.LAYOUTS order) describes.

        Where flash does not reserve a counter the last payload stays, which gateways refuse as heard before: a counter
        that might come twice would be worse. The belt still takes sessions then.
        """
        key = self._config.key
        if key != self._key:
            self._key = key
            self._encrypt = self._aes(session.beacon_key(self._aes, key))
        if self._counter >= self._config.values["beacon_reserved"]:
            if self._refused_s:  # ask flash once a minute
                self._refused_s = (self._refused_s + 1) % RETRY_S
                return self._last
            if not self._reserve():
                self._refused_s = 1
                return self._last
        self._counter += 1
        content = beacon.pack(beacon.from_report(report))
        sealed = beacon.seal(self._encrypt, self._config.serial, self._counter, content)
        self._last = bytes(beacon.advertisement(self._config.values["company_id"], sealed))
        return self._last

    def prepare(self) -> None:
        """Reserve the next counters while there are some left: a change of state never waits for flash."""
        if self._config.values["beacon_reserved"] - self._counter < PREPARE_COUNTERS:
            self._reserve()

    def _reserve(self) -> bool:
        return self._config.keep(beacon_reserved=self._counter + BEACON_BLOCK)
