"""The main job in a browser, from a model's file to nothing left, without a terminal."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.browser.running import Console
from tests.browser.test_wizard import begin

pytestmark = pytest.mark.browser

RUN_MS = 180_000
ROW = [5.1, 3.5, 1.4, 0.2]


def approve(page: Page) -> None:
    """Approve the plan that is shown, and watch the run to its end without a reload."""
    page.get_by_role("button", name="Approve and deploy").click()
    watch(page)


def watch(page: Page) -> None:
    expect(page).to_have_url(re.compile(r"/runs/\d+/$"))
    ended = page.locator("#run-head").get_by_text(re.compile("^(Succeeded|Failed|Cancelled)$"))
    expect(ended).to_be_visible(timeout=RUN_MS)
    assert ended.inner_text() == "Succeeded", page.locator("#log").inner_text()


def test_a_model_is_deployed_asked_changed_rolled_back_and_destroyed(
    visit: Callable[..., Visitor], console: Console, models: Path
) -> None:
    page = visit().page

    # The wizard, up to a run that ends well.
    begin(page, models / "iris.joblib")
    page.get_by_role("button", name="Next: Function").click()
    page.get_by_label("Name", exact=True).fill("iris")
    page.get_by_role("button", name="Next: Cache").click()
    page.get_by_text("1 week").click()
    page.get_by_role("button", name="Next: Environment").click()
    page.get_by_role("button", name="Next: Review").click()
    approve(page)

    # The test form: computed once, then read back.
    page.goto("/deployments/iris/test/")
    assert ask(page) == "MISS"
    assert ask(page) == "HIT"

    # The inspector shows the entry with what was asked.
    page.goto("/deployments/iris/cache/")
    entries = page.get_by_role("region", name="Entries", exact=True)
    expect(entries.get_by_text("5.1").first).to_be_visible()

    # A change makes revision 2, whose answers are its own.
    page.goto("/deployments/iris/")
    page.get_by_role("link", name="Change", exact=True).click()
    page.get_by_label("Upload another").set_input_files(models / "deep_iris.joblib")
    page.get_by_role("button", name="Upload", exact=True).first.click()
    expect(page.get_by_text("deep_iris.joblib").first).to_be_visible()
    page.locator(".rail").get_by_text("Review").click()
    page.get_by_label("What changed").fill("a deeper tree")
    approve(page)
    page.goto("/deployments/iris/")
    expect(page.get_by_text("revision 2 runs")).to_be_visible()
    page.goto("/deployments/iris/test/")
    assert ask(page) == "MISS"

    # Back to revision 1, whose answers are still there.
    page.goto("/deployments/iris/")
    page.get_by_role("button", name="Roll back to revision 1").click()
    watch(page)
    page.goto("/deployments/iris/test/")
    assert ask(page) == "HIT"

    # Away with it: the name has to be typed, and then nothing is left of it on the machine.
    page.goto("/deployments/iris/destroy/")
    page.get_by_label("Type the name to confirm").fill("irsi")
    page.get_by_role("button", name="Destroy").click()
    expect(page.get_by_text("The confirmation does not match")).to_be_visible()
    page.get_by_label("Type the name to confirm").fill("iris")
    page.get_by_role("button", name="Destroy").click()
    watch(page)
    page.goto("/deployments/iris/")
    expect(page.get_by_text("Nothing exists for it now.")).to_be_visible()
    assert not [path for path in console.home.local.rglob("*") if path.name.startswith("iris-")]


def ask(page: Page) -> str:
    """Send one row through the test form's fields; MISS or HIT as the result shows it."""
    for number, value in enumerate(ROW, start=1):
        page.get_by_role("textbox", name=str(number), exact=True).fill(str(value))
    with page.expect_navigation():
        page.get_by_role("button", name="Send once").click()
    result = page.get_by_role("region", name="Result")
    expect(result.get_by_role("status")).to_have_text("0")
    return result.locator(".verdict").inner_text()
