"""Posts one webhook and says what was answered; blocking, for a thread that may wait."""

from __future__ import annotations

import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any

from cloud_sync.webhook import Request

__all__ = ["TIMEOUT_S", "post"]

TIMEOUT_S = 5.0  # also how long the end of the process may wait for a request under way
ANSWER_BYTES_MAX = 4096


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer: following it would send a signed body to a place nobody configured."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def post(request: Request) -> tuple[int, bytes]:
    """(status, beginning of the body); OSError with a reason if there was no answer."""
    opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))
    sent = urllib.request.Request(request.url, request.body, dict(request.headers), method="POST")
    try:
        with opener.open(sent, timeout=TIMEOUT_S) as answer:
            return int(answer.status), answer.read(ANSWER_BYTES_MAX)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(ANSWER_BYTES_MAX)
    except (OSError, HTTPException) as error:
        raise OSError(str(error) or type(error).__name__) from error
