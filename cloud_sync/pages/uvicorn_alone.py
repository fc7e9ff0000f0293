"""uvicorn's server without its command line, which takes 1.3 MiB of a 512 MB board for nothing (click, supervisors).

`import uvicorn` runs the package's own module, and that imports the command line. Here the package is entered into
`sys.modules` unrun, so that its server and configuration are imported by themselves; whoever asks the package for one
of its names later gets it (canary: tests/cloud_sync/pages/test_uvicorn_alone.py).
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from typing import Any

_HOMES = {"Config": "uvicorn.config", "Server": "uvicorn.server", "main": "uvicorn.main", "run": "uvicorn.main"}


def _name(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'uvicorn' has no attribute {name!r}")


if "uvicorn" not in sys.modules and (_spec := find_spec("uvicorn")) is not None:
    _package = module_from_spec(_spec)
    _package.__dict__["__getattr__"] = _name
    sys.modules["uvicorn"] = _package

from uvicorn.config import Config  # noqa: E402 - after the package was entered
from uvicorn.server import Server  # noqa: E402

__all__ = ["Config", "Server"]
