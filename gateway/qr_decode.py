"""Reads the QR codes of one picture: `python -m gateway.qr_decode < picture` prints their texts as a JSON list.

A process of its own: a camera's picture takes tens of megabytes while it is read, and comes from anybody's phone. What
goes wrong costs this process and nothing of the gateway.
"""

from __future__ import annotations

import io
import json
import sys

EDGE_PIXELS_MAX = 2400
PIXELS_MAX = 60_000_000
CODES_MAX = 8


def main() -> int:
    """0 with a list (perhaps empty), 2 with why this is no picture."""
    import zxingcpp
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = PIXELS_MAX
    try:
        with Image.open(io.BytesIO(sys.stdin.buffer.read()), formats=["JPEG", "PNG", "WEBP", "GIF", "BMP"]) as opened:
            # A JPEG is decoded at an eighth to a whole of its size, whichever is just enough.
            opened.draft("L", (EDGE_PIXELS_MAX, EDGE_PIXELS_MAX))
            picture = ImageOps.exif_transpose(opened).convert("L")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        print(json.dumps(str(error)[:200]))
        return 2
    picture.thumbnail((EDGE_PIXELS_MAX, EDGE_PIXELS_MAX))
    found = zxingcpp.read_barcodes(picture, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode))
    print(json.dumps([code.text for code in found[:CODES_MAX]]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
