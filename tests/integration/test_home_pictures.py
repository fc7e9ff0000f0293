"""docs/platform.md shows every page of the platform in both languages, and no page that is gone."""

from __future__ import annotations

from tests.integration.chromium import IMAGES
from tests.integration.home_pages import ON_A_PHONE, PAGES


def test_the_docs_show_every_page_in_both_languages() -> None:
    names = (*PAGES, *ON_A_PHONE, "login")
    pictures = {f"platform-{name}-{language}.png" for name in names for language in ("en", "zh")}
    assert {file.name for file in IMAGES.glob("platform-*.png")} == pictures
    text = (IMAGES.parent / "platform.md").read_text("utf-8")
    assert [name for name in sorted(pictures) if f"images/{name}" not in text] == []
