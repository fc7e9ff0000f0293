"""Pictures of QR codes as a phone would take them: turned, grey, a little noisy, in a larger picture."""

from __future__ import annotations

import io

import numpy as np
import segno
from PIL import Image


def picture(text: str, *, degrees: float = 7.0, size: int = 900, noise: int = 12, form: str = "JPEG") -> bytes:
    """A photo of the label with this text."""
    drawn = io.BytesIO()
    belt = text.startswith("BB1")
    segno.make(text, error="l" if belt else "m", boost_error=not belt, micro=False).save(drawn, kind="png", scale=10)
    code = Image.open(drawn).convert("L").rotate(degrees, expand=True, fillcolor=255)
    whole = Image.new("L", (size, size * 3 // 4), 214)
    whole.paste(code, ((size - code.width) // 2, (whole.height - code.height) // 2))
    pixels = np.asarray(whole, dtype=np.int16)
    pixels = pixels * 3 // 4 + np.random.default_rng(4).integers(0, noise + 1, pixels.shape, dtype=np.int16)
    out = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert("RGB").save(out, form)
    return out.getvalue()


def nothing() -> bytes:
    """A photo without a code."""
    out = io.BytesIO()
    Image.new("RGB", (640, 480), (120, 130, 140)).save(out, "JPEG")
    return out.getvalue()
