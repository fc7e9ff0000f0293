"""A firmware image received over the link into the slot that is not running; boot.py tries it at the next start.

The image is one archive file; what it must hold and how it is signed is checked before the slot is switched. An update
is resumable: UPDATE_BEGIN with the size and hash of a transfer already begun answers with the offset to go on from.
"""

import hashlib
import os

from protocol.wire import frames

from .config import Config

IMAGE_FILE = "/update.img"
TRIAL_FILE = "/trial"  # boot/boot.py
IMAGE_BYTES_MAX = 256 * 1024


class Update:
    """handle() one step; (status, value) goes back as RESULT. Value: bytes received so far."""

    def __init__(self, config: Config, directory: str) -> None:
        self._config = config
        self._directory = directory
        self._path = directory + IMAGE_FILE
        self._confirmed = False
        self.features = 1
        self._size = 0
        self._sha256 = b""
        self._received = 0

    def confirm(self) -> None:
        """A gateway was served: what runs now is good, boot.py need not revert it."""
        if not self._confirmed:
            self._confirmed = True
            try:
                os.remove(self._directory + TRIAL_FILE)
            except OSError:
                pass  # no trial is on

    def handle(self, kind: int, values: "tuple[int | bytes, ...]", tail: bytes) -> "tuple[int, int]":
        """UPDATE_BEGIN (size, sha256), UPDATE_DATA (offset; bytes), UPDATE_END."""
        if kind == frames.UPDATE_BEGIN:
            return self._begin(values[0], values[1])  # type: ignore[arg-type]
        if not self._size:
            return frames.STATUS_REFUSED, 0
        if kind == frames.UPDATE_DATA:
            return self._data(values[0], tail)  # type: ignore[arg-type]
        return self._end()

    def _begin(self, size: int, sha256: bytes) -> "tuple[int, int]":
        if not 0 < size <= IMAGE_BYTES_MAX:
            return frames.STATUS_OUT_OF_RANGE, IMAGE_BYTES_MAX
        if (size, sha256) != (self._size, self._sha256):
            self._size, self._sha256, self._received = size, sha256, 0
            with open(self._path, "wb"):
                pass
        return frames.STATUS_STARTED, self._received

    def _data(self, offset: int, data: bytes) -> "tuple[int, int]":
        if offset != self._received or offset + len(data) > self._size:
            return frames.STATUS_OUT_OF_RANGE, self._received
        with open(self._path, "ab") as file:
            file.write(data)
        self._received += len(data)
        return frames.STATUS_DONE, self._received

    def _end(self) -> "tuple[int, int]":
        received, self._size, self._received = self._received, 0, 0
        digest = hashlib.sha256()
        with open(self._path, "rb") as file:
            while True:
                block = file.read(512)
                if not block:
                    break
                digest.update(block)
        if digest.digest() == self._sha256:
            # Whole, but images are not signed yet: nothing unsigned ever runs (installing comes with signing).
            os.remove(self._path)
            return frames.STATUS_REFUSED, received
        os.remove(self._path)
        return frames.STATUS_FAILED, received
