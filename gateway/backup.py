"""A gateway's backup: configuration, belts with their keys, accounts, settings, evidence; sealed with a passphrase.

    SBBK1, salt 16, nonce 12, AES-256-GCM over a tar.gz; the key is scrypt(passphrase, salt), N = 2^15, r = 8, p = 1

A restore gives every belt a new key at its next session: the old gateway, wherever it is by then, is out.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

from cloud_sync.sealing import PASSPHRASE_CHARS_MIN, key_of
from gateway.acceptance import KEY_FILE
from gateway.config import SITE_TEXT, load_config
from gateway.cores.provisioning import Site
from gateway.provision_socket import is_served
from gateway.site_file import SITE_FILE, SiteFile
from gateway.site_setup import as_before
from gateway.site_toml import as_configuration, parse_site
from gateway.store_copy import store_copy
from gateway.store_repair import StoreError
from protocol.phrase import Phrase

__all__ = ["PASSPHRASE_CHARS_MIN", "BackupError", "back_up", "restore"]

MAGIC = b"SBBK1"
BYTES_MAX = 4_000_000_000
CONFIG_NAME = "gateway.toml"


class BackupError(Exception):
    """No backup or no restore; the text says why and what to do."""


def back_up(config_file: Path, target: Path, passphrase: str, *, nights: bool) -> dict[str, Any]:
    """Write `target`; the gateway may run meanwhile. `nights`: with all vitals. ConfigError, BackupError, OSError."""
    config = load_config(config_file)
    folder = config.gateway.data_dir
    _good(passphrase)
    files: dict[str, bytes] = {CONFIG_NAME: config_file.read_bytes()}
    for bed in config.beds:
        if bed.key is not None and bed.serial is not None:
            files.setdefault("keys.json", b"{}")
            keys = json.loads(files["keys.json"])
            keys[bed.label] = {"serial": bed.serial.hex(), "key": bed.key.hex()}
            files["keys.json"] = json.dumps(keys).encode()
    for name in (SITE_FILE, SITE_TEXT, KEY_FILE):
        if (folder / name).exists():
            files[name] = (folder / name).read_bytes()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        try:
            with store_copy(folder, None if nights else ()) as copy:
                for path in sorted(copy.iterdir()):
                    tar.add(path, f"data/{path.name}")
        except StoreError as error:
            raise BackupError(Phrase("{error}", error=error)) from None
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(_sealed(out.getvalue(), passphrase))
        file.flush()
        os.fsync(file.fileno())
    part.replace(target)
    return {"file": str(target), "bytes": target.stat().st_size, "gateway": config.gateway.id, "nights": nights}


def restore(source: Path, config_file: Path, data_dir: Path, passphrase: str, *, replace: bool) -> dict[str, Any]:
    """Put a backup in place for a gateway that does not run; BackupError, OSError. Nothing changes unless all fits."""
    if is_served(data_dir):
        raise BackupError(
            Phrase("{data_dir}: a gateway runs on it; stop it first (systemctl stop sleepbelt)", data_dir=data_dir)
        )
    taken = [str(path) for path in (config_file, data_dir / SITE_FILE, data_dir / "events.db") if path.exists()]
    if taken and not replace:
        raise BackupError(Phrase("{taken} is there already; --replace puts the backup in its place", taken=taken[0]))
    files = _opened(source.read_bytes(), passphrase)
    if CONFIG_NAME not in files:
        raise BackupError(Phrase("{source}: holds no configuration; it is not a gateway's backup", source=source))
    staged = data_dir.with_name(f"{data_dir.name}.restored")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True, mode=0o700)
    try:
        for name, content in files.items():
            if name.startswith("data/") or name in (SITE_TEXT, KEY_FILE):
                _write(staged / Path(name).name, content)
        belts = _rekeyed(files, staged)
        config_file.parent.mkdir(parents=True, exist_ok=True)
        part = config_file.with_name(f"{config_file.name}.part")
        _write(part, files[CONFIG_NAME])
        as_before(part, config_file)
        if data_dir.exists():
            _give(staged, data_dir)
            before = data_dir.with_name(f"{data_dir.name}.before")
            shutil.rmtree(before, ignore_errors=True)
            data_dir.replace(before)
        staged.replace(data_dir)
        part.replace(config_file)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return {"config": str(config_file), "data_dir": str(data_dir), "belts_to_rekey": belts}


def _rekeyed(files: dict[str, bytes], folder: Path) -> int:
    """site.json for the new folder, with every belt marked for a new key; how many those are."""
    import tomllib

    raw = tomllib.loads(files[CONFIG_NAME].decode())
    if SITE_TEXT in files:
        raw = as_configuration(parse_site(files[SITE_TEXT].decode(), folder / SITE_TEXT), raw)
    site = Site(raw["gateway"]["id"], {bed["label"]: None for bed in raw.get("beds", [])})
    if SITE_FILE in files:
        (folder / SITE_FILE).write_bytes(files[SITE_FILE])
        SiteFile(folder).load(site)
    bound = {record.bed for record in site.belts.values()}
    for bed, entry in json.loads(files.get("keys.json", b"{}")).items():
        serial = bytes.fromhex(entry["serial"])
        if bed not in bound and bed not in site.emptied and serial not in site.belts:
            site.adopt(serial, bytes.fromhex(entry["key"]), bed)
    site.rekey_all()
    SiteFile(folder).save(site.to_state())
    return sum(not record.decommissioned for record in site.belts.values())


def _sealed(content: bytes, passphrase: str) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt, nonce = os.urandom(16), os.urandom(12)
    key = key_of(passphrase, salt)
    return MAGIC + salt + nonce + AESGCM(key).encrypt(nonce, content, MAGIC)


def _opened(sealed: bytes, passphrase: str) -> dict[str, bytes]:
    """Names and contents; BackupError for another file, a wrong passphrase, or one that was cut or changed."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if not sealed.startswith(MAGIC):
        raise BackupError(Phrase("this is no backup of a gateway (it does not begin with SBBK1)"))
    salt, nonce, content = sealed[5:21], sealed[21:33], sealed[33:]
    key = key_of(passphrase, salt)
    try:
        plain = AESGCM(key).decrypt(nonce, content, MAGIC)
    except (InvalidTag, ValueError):
        raise BackupError(
            Phrase("wrong passphrase, or the file was cut or changed; try the passphrase again")
        ) from None
    files = {}
    with tarfile.open(fileobj=io.BytesIO(plain), mode="r:gz") as tar:
        for entry in tar:
            opened = tar.extractfile(entry)
            if opened is not None:
                files[entry.name] = opened.read()
    return files


def _good(passphrase: str) -> None:
    if len(passphrase) < PASSPHRASE_CHARS_MIN:
        raise BackupError(
            Phrase(
                "a passphrase has at least {passphrase_chars_min} characters: it guards all belts' keys",
                passphrase_chars_min=PASSPHRASE_CHARS_MIN,
            )
        )


def _give(folder: Path, like: Path) -> None:
    """The files to the owner of `like`: root restores, the gateway's user reads."""
    status = like.stat()
    with contextlib.suppress(PermissionError):
        for path in (folder, *folder.iterdir()):
            os.chown(path, status.st_uid, status.st_gid)


def _write(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
