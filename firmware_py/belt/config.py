"""What a belt remembers beside its records: who it is, whom it belongs to, counters that must never restart.

`identity.json` is written once in the factory (serial, claim secret, public key of updates). `config.json` is replaced
whole: written to a temporary file and renamed, which survived every power-cut point on littlefs (facts/FIRMWARE.md).
"""

import binascii
import json
import os

IDENTITY_FILE = "identity.json"
CONFIG_FILE = "config.json"
TEMPORARY_FILE = "config.tmp"
NOT_THERE = 2  # ENOENT: a new belt
BEACON_BLOCK = 4096  # counters reserved with one flash write: about 68 minutes of beacons

DEFAULTS = {
    "key": "",  # bound key in hex; empty: not claimed, the claim secret holds
    "gateway": "",  # the gateway that claimed the belt, in hex
    "decommissioned": False,
    "boot_counter": 0,
    "beacon_reserved": 0,  # every beacon counter up to here may have been used
    "report_period_ms": 1000,
    "advertise_ms": 250,
    "expose_standard": False,
    "company_id": 0xFFFF,
    "handshake_timeout_ms": 30_000,
    "empty_level": 0,  # strength of the beat band (pipeline's level) with the bed empty and in use; 0: not calibrated
    "occupied_level": 0,
    "empty_load": -1,  # what the static channel gave then; -1: it has none, or was not calibrated
    "occupied_load": -1,
}

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class IdentityError(Exception):
    """The factory's file is missing or damaged: the belt cannot say who it is and does not start."""


class Config:
    """values: the settings by DEFAULTS' names; set() changes and stores them in one step."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self.damaged = False  # config.json was unreadable and the defaults hold
        self.refused = 0  # writes that flash would not take
        self.values: "dict[str, Any]" = dict(DEFAULTS)
        try:
            with open(self._path(IDENTITY_FILE)) as file:
                identity = json.load(file)
            self.serial = binascii.unhexlify(identity["serial"])
            self._claim_secret = binascii.unhexlify(identity["claim_secret"])
            # x and y of a P-256 key, 64 bytes; without it no update is taken
            self.update_key = binascii.unhexlify(identity.get("update_key", ""))
        except (OSError, ValueError, KeyError) as error:
            raise IdentityError("identity.json: %s" % error) from error
        if len(self.serial) != 8 or len(self._claim_secret) != 16:
            raise IdentityError("identity.json: serial of 8 and claim_secret of 16 bytes belong there")
        self._load()

    @property
    def key(self) -> bytes:
        """The key that proofs are made with: the bound key, or the claim secret until the belt is claimed."""
        return binascii.unhexlify(self.values["key"]) if self.values["key"] else self._claim_secret

    @property
    def claimed(self) -> bool:
        """Whether a gateway has replaced the claim secret."""
        return bool(self.values["key"])

    def set(self, **changes: "Any") -> None:
        """Change settings; they are on flash when this returns. OSError: flash refused, the settings are as before."""
        values = dict(self.values)
        for name in changes:
            assert name in DEFAULTS
            values[name] = changes[name]
        text = json.dumps(values)
        with open(self._path(TEMPORARY_FILE), "w") as file:
            file.write("%08x %s" % (binascii.crc32(text.encode()), text))
        os.rename(self._path(TEMPORARY_FILE), self._path(CONFIG_FILE))
        self.values = values

    def keep(self, **changes: "Any") -> bool:
        """set() for what the belt keeps by itself: a flash that refuses is counted and must not stop the belt."""
        try:
            self.set(**changes)
        except OSError:
            self.refused += 1
            return False
        return True

    def begin_boot(self, last_boot_id: int) -> int:
        """The id of this run: above every id used before.

        Also if config.json was lost or flash would not take the new one: the ring remembers one.
        """
        boot_id: int = max(self.values["boot_counter"], last_boot_id) + 1
        self.keep(boot_counter=boot_id)
        return boot_id

    def _path(self, name: str) -> str:
        return self._directory + "/" + name

    def _load(self) -> None:
        try:
            with open(self._path(CONFIG_FILE)) as file:
                content = file.read()
        except OSError as error:
            self.damaged = error.args[0] != NOT_THERE
            return
        try:
            crc, text = int(content[:8], 16), content[9:]
            if crc != binascii.crc32(text.encode()):
                raise ValueError("crc")
            stored = json.loads(text)
        except ValueError:
            self.damaged = True
            return
        for name in DEFAULTS:
            if name in stored:
                self.values[name] = stored[name]
