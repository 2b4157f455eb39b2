"""What any page has to hold, in both themes and on a desk and a telephone."""

from pathlib import Path

from playwright.sync_api import Page

BASICS = Path(__file__).with_name("basics.js").read_text(encoding="utf-8")
# A colour that is still fading into the new theme has another contrast than the one it ends with.
SETTLE = "for (const one of document.getAnimations()) try { one.finish(); } catch { /* one without an end */ }"
SIZES = {"desk": (1440, 900), "telephone": (390, 800)}


def problems_of(page: Page) -> list[str]:
    """A sentence for each fault of the page that is open; it is left as it was found."""
    found: list[str] = []
    before = page.viewport_size
    for device, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            page.evaluate(SETTLE)
            found += [f"{page.url}, {device}, {theme}: {problem}" for problem in page.evaluate(BASICS)]
    page.emulate_media(color_scheme="light")
    if before:
        page.set_viewport_size(before)
    return found
