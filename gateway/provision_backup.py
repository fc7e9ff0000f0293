"""A gateway's sealed backup for whoever administers it from the page: made by the command, in a process of its own.

Key derivation and archive take memory that the gateway does not have for them.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from gateway.provision_error import ProvisionError

__all__ = ["sealed_backup"]

BACKUP_S_MAX = 120.0


async def sealed_backup(config_file: Path, passphrase: str, language: str) -> bytes:
    """The file `sleepbelt provision backup` writes; ProvisionError `no_backup` with its words."""
    pipe = asyncio.subprocess.PIPE
    with tempfile.TemporaryDirectory(prefix="sleepbelt-backup-") as folder:
        target = Path(folder) / "backup"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.cli", "provision", "backup", "--config", str(config_file), "--out",
            str(target), "--passphrase-file", "/dev/stdin", "--lang", language, stdin=pipe, stdout=pipe, stderr=pipe,
        )  # fmt: skip
        try:
            async with asyncio.timeout(BACKUP_S_MAX):
                _, said = await process.communicate(passphrase.encode())
        except TimeoutError:
            process.kill()
            await process.wait()
            raise ProvisionError("no_backup", why=f"{BACKUP_S_MAX:g} s") from None
        if process.returncode:
            raise ProvisionError("no_backup", why=said.decode(errors="replace").strip().removeprefix(
                "sleepbelt provision: ")[-300:])  # fmt: skip
        return await asyncio.to_thread(target.read_bytes)
