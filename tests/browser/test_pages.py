"""What every page holds in both themes, on a desk and on a telephone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.conftest import Theme, Visitor

pytestmark = pytest.mark.browser

BASICS = Path(__file__).with_name("basics.js").read_text(encoding="utf-8")
WIDTHS = {"desk": 1440, "telephone": 390}
PAGES = (
    "/",
    "/deployments/",
    "/deployments/digits/",
    "/deployments/digits/destroy/",
    "/deployments/digits/test/",
    "/deployments/digits/cache/",
    "/runs/",
    "/runs/1/",
    "/environments/",
    "/environments/local/",
    "/environments/local/edit/",
    "/environments/new/",
    "/tokens/",
    "/tokens/new/",
    "/audit/",
    "/deploy/",
    "/deploy/import/",
    "/search/?q=digits",
    "/admin/",
    "/accounts/password/",
)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", list(WIDTHS))
def test_pages_hold_the_basics(visit: Callable[..., Visitor], theme: Theme, width: str) -> None:
    page = visit(width=WIDTHS[width], theme=theme).page
    found: list[str] = []
    for path in PAGES:
        answer = page.goto(path)
        assert answer is not None
        assert answer.ok, f"{path}: {answer.status}"
        found += [f"{path}: {problem}" for problem in page.evaluate(BASICS)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", ["/", "/deployments/digits/", "/deploy/", "/runs/1/"])
def test_the_keyboard_reaches_everything_and_shows_where_it_is(visit: Callable[..., Visitor], path: str) -> None:
    page = visit().page
    page.goto(path)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent").strip() == "Skip to main content"
    seen = 0
    for _ in range(60):
        page.keyboard.press("Tab")
        stop = page.evaluate(
            """() => {
                const at = document.activeElement;
                if (at === document.body) return null;
                const outlined = [at, at.closest("label")].filter(Boolean)
                    .some((one) => getComputedStyle(one).outlineStyle !== "none");
                return [at.outerHTML.slice(0, 120), outlined, at.checkVisibility()];
            }"""
        )
        if stop is None:
            break
        seen += 1
        assert stop[1:] == [True, True], stop
    assert seen > 10
