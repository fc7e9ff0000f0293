"""A gateway renews its certificate at two thirds of its time, over the connection that the old one opens.

    gateway  -> sb/v1/{gateway}/renew        PEM of a signing request for a new key
    platform -> sb/v1/{gateway}/certificate  {"certificate": PEM} or {"error": ..., "message": ...}

The broker lets a gateway publish under its own name only, which it knows from the old certificate: that is the proof.
"""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from cloud_sync.authority import key_pem, make_request
from cloud_sync.enrol import EnrolError, Identity, accept, read_identity, renew_at
from cloud_sync.mqtt import BrokerAddress, BrokerError, Link, connect
from protocol.batch import topic
from protocol.phrase import Phrase

__all__ = ["CERTIFICATE", "RENEW", "Renewal"]

log = logging.getLogger(__name__)

RENEW, CERTIFICATE = "renew", "certificate"
LOOK_S = 6 * 3600.0
RETRY_S = 3600.0
ANSWER_S = 20.0


class Renewal:
    """`run()` until cancelled; a renewal that fails is tried again each hour and said once."""

    def __init__(self, address: BrokerAddress, gateway: str) -> None:
        assert address.identity_file is not None
        self._address, self._gateway = address, gateway
        self._file: Path = address.identity_file
        self._said = ""

    async def run(self) -> None:
        """Look whether it is time, now and every few hours."""
        while True:
            is_well = await self.look(datetime.now(UTC))
            await asyncio.sleep(LOOK_S if is_well else RETRY_S)

    async def look(self, now: datetime) -> bool:
        """Renew if it is time at `now`; False if that did not work."""
        try:
            identity = read_identity(self._file)
            if now < renew_at(identity):
                return True
            renewed = await self._renew()
        except (EnrolError, BrokerError, OSError) as error:
            if str(error) != self._said:
                self._said = str(error)
                log.warning("the certificate for the platform could not be renewed: %s", error)
            return False
        self._said = ""
        log.info("the certificate for the platform was renewed; it is valid until %s", renewed.not_after.date())
        return True

    async def _renew(self) -> Identity:
        request, key = make_request(self._gateway)
        async with connect(self._address, f"{self._gateway}-renew") as link:
            await link.subscribe(topic(self._gateway, CERTIFICATE))
            refused: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            link.send(topic(self._gateway, RENEW), request, partial(_settle, refused))
            try:
                async with asyncio.timeout(ANSWER_S):
                    pem = await self._answer(link, refused)
            except TimeoutError:
                raise EnrolError(Phrase("the platform does not answer; is receiver.authority set there?")) from None
        return accept(pem, key_pem(key), key.public_key(), self._file.parent)

    async def _answer(self, link: Link, refused: asyncio.Future[str]) -> bytes:
        hearing = asyncio.ensure_future(_first(link))
        waited: set[asyncio.Future[bytes] | asyncio.Future[str]] = {hearing, refused}
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if refused.done():
                raise EnrolError(Phrase("the broker refuses the request: {result}", result=refused.result()))
            said = json.loads(hearing.result())
        except ValueError:
            raise EnrolError(Phrase("the platform's answer cannot be read")) from None
        finally:
            hearing.cancel()
        if not isinstance(said, dict) or "certificate" not in said:
            raise EnrolError(
                str(said.get("message", said)) if isinstance(said, dict) else Phrase("no answer that can be read")
            )
        return str(said["certificate"]).encode()


async def _first(link: Link) -> bytes:
    async for _, payload in link.messages():
        return payload
    raise BrokerError("connection lost")


def _settle(refused: asyncio.Future[str], reason: str) -> None:
    if not refused.done():
        refused.set_result(reason)
