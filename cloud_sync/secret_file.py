"""Secrets in files of their own: for their owner alone, one a line."""

from __future__ import annotations

import stat
from pathlib import Path

__all__ = ["SecretFileError", "read_secrets"]

LINES_MAX = 2


class SecretFileError(ValueError):
    """The file cannot be used: `found` says what is wrong, `wanted` what to do; neither repeats a secret."""

    def __init__(self, found: str, wanted: str) -> None:
        super().__init__(f"{found}; {wanted}")
        self.found, self.wanted = found, wanted


def read_secrets(file: Path, most: int = LINES_MAX) -> tuple[bytes, ...]:
    """Its lines, at most `most` of them: the new secret first and, while it is being changed, the old one."""
    try:
        if stat.S_IMODE(file.stat().st_mode) & (stat.S_IRGRP | stat.S_IROTH):
            raise SecretFileError(f"{file}, which others may read", f"do: chmod 600 {file}")
        lines = tuple(line.strip() for line in file.read_bytes().splitlines() if line.strip())
    except OSError as error:
        raise SecretFileError(f"{file} ({error.strerror})", "a readable file with the secret") from error
    if not lines:
        raise SecretFileError(f"nothing in {file}", "the secret, in one line")
    if len(lines) > most:
        raise SecretFileError(f"{len(lines)} lines in {file}", "the secret, in one line" if most == 1 else
                              "the secret in one line, or the new one and the old one")  # fmt: skip
    return lines
