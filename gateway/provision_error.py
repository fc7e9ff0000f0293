"""The one error of everything a technician asks for."""

from __future__ import annotations

from typing import Any

__all__ = ["ProvisionError"]


class ProvisionError(Exception):
    """It cannot be done. `code` names the problem (`provision_error.CODE` has the words and the next step)."""

    def __init__(self, code: str, **values: Any) -> None:
        self.code = code
        self.values = values
        super().__init__(f"{code} {values}" if values else code)
