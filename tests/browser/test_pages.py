"""What every page holds in both themes, on a desk and on a telephone."""

from collections.abc import Callable

import pytest

from tests.browser.basics import problems_of
from tests.browser.conftest import Visitor

pytestmark = pytest.mark.browser

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


@pytest.mark.parametrize("path", PAGES)
def test_a_page_holds_the_basics(visit: Callable[..., Visitor], path: str) -> None:
    page = visit().page
    answer = page.goto(path)
    assert answer is not None
    assert answer.ok, answer.status
    problems = problems_of(page)
    assert not problems, "\n".join(problems)


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
