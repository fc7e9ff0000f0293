"""A4 sheets as PDF: the font with Chinese characters is looked for on this machine, and a missing one is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from protocol.phrase import Phrase

MARGIN_MM, WIDTH_MM = 15, 180
FONTS = (
    Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"),
    Path("/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc"),
    Path("/usr/share/fonts/google-noto-cjk/NotoSansCJK-Regular.ttc"),
    Path("/usr/share/fonts/truetype/wqy/wqy-microhei.ttc"),
    Path("/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc"),
    Path("/usr/share/fonts/truetype/arphic/uming.ttc"),
    Path("/System/Library/Fonts/PingFang.ttc"),
)
_FACE = {"NotoSansCJK-Regular.ttc": 2}
"""Which font of a collection is simplified Chinese; the first where not told."""


class PdfError(Exception):
    """No sheet can be made; the message says what is missing and what to do."""


def new_sheet(language: str, texts: Iterable[str] = (), fonts: Sequence[Path] = FONTS) -> Any:
    """An `fpdf.FPDF` of A4 with a font for `language` (`zh` or `en`) set; PdfError without fpdf2 or such a font.

    `texts`: what will be written; without a found font it must all be Latin-1.
    """
    try:
        from fpdf import FPDF
    except ModuleNotFoundError:
        raise PdfError(Phrase("a PDF needs the package fpdf2: pip install fpdf2")) from None
    sheet = FPDF(format="A4")
    sheet.set_margins(MARGIN_MM, MARGIN_MM)
    font = next((path for path in fonts if path.is_file()), None)
    if font is not None:
        sheet.add_font("sheet", fname=str(font), collection_font_number=_FACE.get(font.name, 0))
        sheet.add_page()
        sheet.set_font("sheet", size=10)
    elif language == "en" and all(_is_latin(text) for text in texts):
        sheet.add_page()
        sheet.set_font("Helvetica", size=10)
    else:
        raise PdfError(Phrase("no font with Chinese characters was found; on Debian: apt install fonts-noto-cjk"))
    return sheet


def _is_latin(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True
