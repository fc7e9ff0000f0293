"""The status beacon: what is advertised each second, sealed under a counter that never comes twice."""

from protocol.wire import beacon, session

from .config import BEACON_BLOCK, Config

PREPARE_COUNTERS = 600  # ten minutes of them

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
        self._encrypt: "Callable[[bytes], bytes]" = aes(bytes(16))

    def payload(self, report: "tuple[int, ...]") -> bytes:
        """31 bytes of advertising data for the second that `report` (frames.LAYOUTS order) describes."""
        key = self._config.key
        if key != self._key:
            self._key = key
            self._encrypt = self._aes(session.beacon_key(self._aes, key))
        self._counter += 1
        if self._counter > self._config.values["beacon_reserved"]:
            self._config.set(beacon_reserved=self._counter + BEACON_BLOCK - 1)
        content = beacon.pack(beacon.from_report(report))
        sealed = beacon.seal(self._encrypt, self._config.serial, self._counter, content)
        return bytes(beacon.advertisement(self._config.values["company_id"], sealed))

    def prepare(self) -> None:
        """Reserve the next counters while there are some left: a change of state never waits for flash."""
        if self._config.values["beacon_reserved"] - self._counter < PREPARE_COUNTERS:
            self._config.set(beacon_reserved=self._counter + BEACON_BLOCK)
