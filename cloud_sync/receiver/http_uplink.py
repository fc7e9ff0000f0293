"""Batches by HTTP POST, for gateways that cannot reach the broker: into the same group commit, answered by the ack.

Each gateway has a token of its own, made from the receiver's secret and its label: it speaks under that name only.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from protocol.batch import LANE_ALARM, LANE_VITALS, topic
from protocol.packing import MESSAGE_BYTES_MAX

__all__ = ["build_http_uplink", "gateway_token"]

ANSWER_S = 15.0

Take = Callable[[str, bytes], Awaitable[bytes]]


def gateway_token(secret: str, gateway: str) -> str:
    """What `gateway` shows when it posts, 64 hexadecimal digits; ValueError for a label that cannot be."""
    topic(gateway, LANE_ALARM)
    return hmac.new(secret.encode(), b"sleepbelt-post-1" + gateway.encode(), hashlib.sha256).hexdigest()


def build_http_uplink(take: Take, secret: str, is_revoked: Callable[[str], Awaitable[bool]]) -> list[Route]:
    """`take(topic, message)` commits a message and gives its ack; TimeoutError and asyncio.QueueFull: try later."""

    async def post(request: Request) -> Response:
        gateway, lane = request.path_params["gateway"], request.path_params["lane"]
        offered = request.headers.get("authorization", "").removeprefix("Bearer ")
        try:
            token = gateway_token(secret, gateway)
        except ValueError:
            return JSONResponse({"error": "no_gateway_label"}, 404)
        if not hmac.compare_digest(offered.encode(), token.encode()) or await is_revoked(gateway):
            return JSONResponse({"error": "not_allowed"}, 401, {"WWW-Authenticate": "Bearer"})
        if lane not in (LANE_ALARM, LANE_VITALS):
            return JSONResponse({"error": "no_such_lane"}, 404)
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > MESSAGE_BYTES_MAX:
                return JSONResponse({"error": "too_large"}, 413)
        try:
            async with asyncio.timeout(ANSWER_S):
                ack = await take(topic(gateway, lane), bytes(body))
        except (TimeoutError, asyncio.QueueFull):
            return JSONResponse({"error": "busy"}, 503, {"Retry-After": "2"})
        return Response(ack, media_type="application/octet-stream")

    return [Route("/uplink/{gateway}/{lane}", post, methods=["POST"])]
