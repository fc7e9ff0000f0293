"""Enrolment over HTTPS: who our authority is, and a certificate for a claim token.

    GET  /enrol/authority                        -> {"authority": PEM}
    POST /enrol  {"token": ..., "request": PEM}  -> {"gateway": ..., "certificate": PEM}
"""

from __future__ import annotations

import json
import logging
import time

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cloud_sync.authority import AuthorityError
from cloud_sync.receiver.enrolment import Enrolment, EnrolmentError
from cloud_sync.receiver.threads import StoreThread

__all__ = ["build_enrol_routes"]

log = logging.getLogger(__name__)

BODY_BYTES_MAX = 16_384


def build_enrol_routes(enrolment: StoreThread[Enrolment]) -> list[Route]:
    """Both routes; every claim and every refusal is one log line, a token never."""

    async def authority(request: Request) -> Response:
        pem = await enrolment.call(lambda store: store.authority_pem)
        return JSONResponse({"authority": pem.decode()})

    async def claim(request: Request) -> Response:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > BODY_BYTES_MAX:
                return _refuse("too_large", "a claim is a few hundred bytes", 413)
        try:
            said = json.loads(bytes(body))
            token, pem = said["token"], said["request"]
            if not isinstance(token, str) or not isinstance(pem, str):
                raise TypeError("text")
        except (ValueError, KeyError, TypeError, RecursionError):
            return _refuse("bad_request", 'send {"token": text, "request": PEM}', 400)
        now_s = int(time.time())  # certificates are for the real calendar, whatever clock a demo runs on
        try:
            gateway, certificate = await enrolment.call(
                lambda store: store.claim(token, pem.encode("utf-8", "replace"), now_s)
            )
        except AuthorityError as error:
            return _refuse("bad_request", str(error), 400)
        except EnrolmentError as error:
            log.warning("a claim was refused: %s", error.code)
            return _refuse(error.code, str(error), 429 if error.code == "too_many_tries" else 403)
        log.info("gateway %s was enrolled", gateway)
        return JSONResponse({"gateway": gateway, "certificate": certificate.decode()})

    return [
        Route("/enrol/authority", authority, methods=["GET"]),
        Route("/enrol", claim, methods=["POST"]),
    ]


def _refuse(code: str, message: str, status: int) -> Response:
    return JSONResponse({"error": code, "message": message}, status)
