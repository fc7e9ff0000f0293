"""QR codes of a phone's picture, read on the gateway by a process of its own (qr_decode.py)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys

from gateway.provision_error import ProvisionError

__all__ = ["PICTURE_BYTES_MAX", "read_codes"]

PICTURE_BYTES_MAX = 16_000_000
READ_S_MAX = 20.0
_one_at_a_time = asyncio.Lock()


async def read_codes(picture: bytes) -> list[str]:
    """The texts in a picture, at least one; ProvisionError `bad_picture` or `no_qr`."""
    if len(picture) > PICTURE_BYTES_MAX:
        raise ProvisionError("picture_size", most=PICTURE_BYTES_MAX // 1_000_000)
    if not picture:
        raise ProvisionError("bad_picture", why="empty")
    pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    async with _one_at_a_time:  # a gateway of 512 MB has room for one
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.qr_decode", stdin=pipe, stdout=pipe, stderr=nowhere
        )
        try:
            async with asyncio.timeout(READ_S_MAX):
                said, _ = await process.communicate(picture)
        except TimeoutError:
            raise ProvisionError("bad_picture", why=f"not read within {READ_S_MAX:g} s") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
    try:
        found = json.loads(said)
    except ValueError:
        raise ProvisionError("bad_picture", why=f"the reader ended with {process.returncode}") from None
    if isinstance(found, str):
        raise ProvisionError("bad_picture", why=found)
    if not found:
        raise ProvisionError("no_qr")
    texts: list[str] = found
    return texts
