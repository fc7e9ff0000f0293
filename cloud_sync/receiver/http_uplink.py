"""Batches by HTTP POST, for gateways that cannot reach the broker: into the same group commit, answered by the ack."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from protocol.batch import LANE_ALARM, LANE_VITALS, topic
from protocol.packing import MESSAGE_BYTES_MAX

__all__ = ["build_http_uplink"]

ANSWER_S = 15.0

Take = Callable[[str, bytes], Awaitable[bytes]]


def build_http_uplink(take: Take, token: str) -> list[Route]:
    """`take(topic, message)` commits a message and gives its ack; TimeoutError and asyncio.QueueFull: try later."""

    async def post(request: Request) -> Response:
        offered = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(offered.encode(), token.encode()):
            return JSONResponse({"error": "not_allowed"}, 401, {"WWW-Authenticate": "Bearer"})
        gateway, lane = request.path_params["gateway"], request.path_params["lane"]
        if lane not in (LANE_ALARM, LANE_VITALS):
            return JSONResponse({"error": "no_such_lane"}, 404)
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > MESSAGE_BYTES_MAX:
                return JSONResponse({"error": "too_large"}, 413)
        try:
            name = topic(gateway, lane)
            async with asyncio.timeout(ANSWER_S):
                ack = await take(name, bytes(body))
        except ValueError:
            return JSONResponse({"error": "no_gateway_label"}, 404)
        except (TimeoutError, asyncio.QueueFull):
            return JSONResponse({"error": "busy"}, 503, {"Retry-After": "2"})
        return Response(ack, media_type="application/octet-stream")

    return [Route("/uplink/{gateway}/{lane}", post, methods=["POST"])]
