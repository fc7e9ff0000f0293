"""Static files of the pages: read once, under an address that holds their hash, so that browsers keep them for ever."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class _Asset:
    body: bytes
    media_type: str
    version: str


class Assets:
    """The files of some folders by plain name; nothing outside that list can be asked for, whatever the path says."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._assets: dict[str, _Asset] = {}
        for folder in folders:
            for path in sorted(folder.iterdir()):
                if path.suffix in _TYPES:
                    body = path.read_bytes()
                    version = hashlib.sha256(body).hexdigest()[:12]
                    self._assets[path.name] = _Asset(body, _TYPES[path.suffix], version)

    def address(self, name: str) -> str:
        """The path of a file for a page; KeyError if there is no such file."""
        return f"/static/{self._assets[name].version}/{name}"

    async def endpoint(self, request: Request) -> Response:
        """GET /static/{version}/{name}: the file; 404 for any other name."""
        asset = self._assets.get(request.path_params["name"])
        if asset is None:
            return Response("not found\n", 404, media_type="text/plain")
        # An old page may ask for an old version: it gets today's file, but may not keep it under the old address.
        current = asset.version == request.path_params["version"]
        cache = "public, max-age=31536000, immutable" if current else "no-store"
        return Response(asset.body, media_type=asset.media_type, headers={"Cache-Control": cache})
