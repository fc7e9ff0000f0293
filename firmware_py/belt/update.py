"""A firmware image received over the link into a file, installed into the slot that is not running (install.py).

An update is resumable: UPDATE_BEGIN with the size and hash of a transfer already begun answers with the offset to go on
from, also after a restart. boot.py tries the new slot at the next start; a gateway's session confirms it, TRIAL_MS
without one end the trial by a restart into the old slot.
"""

import os

from protocol.wire import frames

from .config import Config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGE_FILE = "/update.img"
BEGUN_FILE = "/update.for"  # size and hash of what is being received
TRIAL_FILE = "/trial"  # boot/boot.py
IMAGE_BYTES_MAX = 128 * 1024
TRIAL_MS = 15 * 60 * 1000
FEATURE_UPDATE = 1


class Update:
    """handle() one frame's step, work() one slice of an installation. (status, value) goes back as RESULT."""

    def __init__(self, config: Config, directory: str, model: int, version: "tuple[int, int, int]") -> None:
        self._config = config
        self._directory = directory
        self._path = directory + IMAGE_FILE
        self._model = model
        self._version = version
        self.features = FEATURE_UPDATE if config.update_key else 0
        self.on_trial = _exists(directory + TRIAL_FILE)
        self._tried = self.on_trial and _is_started(directory + TRIAL_FILE)  # else boot.py could not note it: this is
        # the old slot, which neither confirms the new one nor ends its trial
        self._installing: "Iterator[int] | None" = None
        self._size, self._sha256 = self._begun()
        self._received = self._length() if self._size else 0
        if self._received > self._size:
            self._discard()

    def confirm(self) -> None:
        """A gateway was served: what runs now is good, boot.py need not revert it."""
        if self._tried:
            self.on_trial = self._tried = False
            os.remove(self._directory + TRIAL_FILE)

    def trial_failed(self, uptime_ms: int) -> bool:
        """No gateway's session in all the time that a trial has: restart, boot.py takes the old slot again."""
        return self._tried and uptime_ms > TRIAL_MS

    def handle(self, kind: int, values: "tuple[int | bytes, ...]", tail: bytes) -> "tuple[int, int]":
        """UPDATE_BEGIN (size, sha256), UPDATE_DATA (offset; bytes), UPDATE_END. Value: bytes received so far."""
        if not self._config.update_key or self.on_trial or self._installing:
            return frames.STATUS_REFUSED, 0
        try:
            if kind == frames.UPDATE_BEGIN:
                return self._begin(values[0], values[1])  # type: ignore[arg-type]
            if not self._size:
                return frames.STATUS_REFUSED, 0
            if kind == frames.UPDATE_DATA:
                return self._data(values[0], tail)  # type: ignore[arg-type]
            return self._end()
        except OSError:  # no room, or a flash that fails: the belt goes on as it is
            self._received = self._length()
            return frames.STATUS_FAILED, self._received

    def work(self) -> int:
        """Status after one slice: STARTED while there is more to do; -1 when nothing is being installed."""
        if self._installing is None:
            return -1
        status = next(self._installing)
        if status != frames.STATUS_STARTED:
            self._installing = None
            self._discard()
        return status

    def _begin(self, size: int, sha256: bytes) -> "tuple[int, int]":
        if not 0 < size <= IMAGE_BYTES_MAX:
            return frames.STATUS_OUT_OF_RANGE, IMAGE_BYTES_MAX
        if (size, sha256) != (self._size, self._sha256):
            self._discard()
            with open(self._path, "wb"):
                pass
            with open(self._directory + BEGUN_FILE, "wb") as file:
                file.write(size.to_bytes(4, "little") + sha256)
            self._size, self._sha256 = size, sha256
        return frames.STATUS_STARTED, self._received

    def _data(self, offset: int, data: bytes) -> "tuple[int, int]":
        if offset != self._received or offset + len(data) > self._size:
            return frames.STATUS_OUT_OF_RANGE, self._received
        with open(self._path, "ab") as file:
            file.write(data)
        self._received += len(data)
        return frames.STATUS_DONE, self._received

    def _end(self) -> "tuple[int, int]":
        if self._received != self._size:
            return frames.STATUS_OUT_OF_RANGE, self._received
        from .install import install  # here, for its code need not lie in memory until then

        where = (self._directory, self._path, self._sha256)
        self._installing = install(*where, self._model, self._version, self._config.update_key)
        return frames.STATUS_STARTED, self._received

    def _begun(self) -> "tuple[int, bytes]":
        try:
            with open(self._directory + BEGUN_FILE, "rb") as file:
                content = file.read(36)
        except OSError:
            return 0, b""
        if len(content) != 36:
            return 0, b""
        return int.from_bytes(content[:4], "little"), content[4:]

    def _length(self) -> int:
        try:
            return int(os.stat(self._path)[6])
        except OSError:
            return 0

    def _discard(self) -> None:
        """Forget the transfer, its note first: an image without a note is overwritten by the next."""
        self._size, self._sha256, self._received = 0, b"", 0
        for name in (BEGUN_FILE, IMAGE_FILE):
            if _exists(self._directory + name):
                os.remove(self._directory + name)


def _exists(path: str) -> bool:
    try:
        os.stat(path)
    except OSError:
        return False
    return True


def _is_started(path: str) -> bool:
    try:
        with open(path) as file:
            text: str = file.read(2)
    except (OSError, ValueError):
        return False
    return text[1:] == "1"
