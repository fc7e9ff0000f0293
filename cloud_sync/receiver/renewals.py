"""Answers gateways that renew their certificate over the broker (cloud_sync/renewal.py has the messages)."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time

from cloud_sync.authority import AuthorityError
from cloud_sync.mqtt import BrokerAddress, BrokerError, Link, connect
from cloud_sync.receiver.enrolment import Enrolment, EnrolmentError
from cloud_sync.receiver.stores.base import StoreError
from cloud_sync.receiver.threads import StoreThread
from cloud_sync.renewal import CERTIFICATE, RENEW
from protocol.batch import TOPIC_ROOT, topic

__all__ = ["Renewals"]

log = logging.getLogger(__name__)

SHARE = f"$share/receivers-renew/{TOPIC_ROOT}/+/{RENEW}"
RECONNECT_S = 5.0


class Renewals:
    """`run()` until cancelled; any number of workers may run one."""

    def __init__(self, address: BrokerAddress, enrolment: StoreThread[Enrolment]) -> None:
        self._address, self._enrolment = address, enrolment

    async def run(self) -> None:
        """Stay subscribed; that the broker is away is said by the consumer."""
        while True:
            try:
                async with connect(self._address, f"receiver-renew-{random.getrandbits(48):012x}") as link:
                    await link.subscribe(SHARE)
                    async for name, payload in link.messages():
                        await self._renew(link, name.split("/")[-2], payload)
            except BrokerError as error:
                log.debug("renewals wait for the broker: %s", error)
            await asyncio.sleep(RECONNECT_S)

    async def _renew(self, link: Link, gateway: str, request: bytes) -> None:
        now_s = int(time.time())
        try:
            pem = await self._enrolment.call(lambda store: store.renew(gateway, request, now_s))
            answer = {"certificate": pem.decode()}
            log.info("the certificate of gateway %s was renewed", gateway)
        except (EnrolmentError, AuthorityError, StoreError) as error:
            answer = {"error": getattr(error, "code", "bad_request"), "message": str(error)}
            log.warning("the certificate of gateway %s was not renewed: %s", gateway, error)
        link.send(topic(gateway, CERTIFICATE), json.dumps(answer).encode(), _refused)


def _refused(reason: str) -> None:
    log.warning("the broker refuses the answer to a renewal: %s", reason)
