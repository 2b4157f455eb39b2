"""The wizard in a browser: errors as they are typed, the keyboard, and all of it without script."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.basics import problems_of
from tests.browser.conftest import Visitor

pytestmark = pytest.mark.browser

STEPS = ("model", "function", "cache", "environment", "review")


def begin(page: Page, model: Path) -> str:
    """Upload a model; the address of the draft that it began."""
    page.goto("/deploy/")
    page.get_by_label("Upload the model").set_input_files(model)
    page.get_by_role("button", name="Upload", exact=True).first.click()
    expect(page.get_by_text(re.compile("sha256 [0-9a-f]{64}"))).to_be_visible()
    return page.url.removesuffix("model/")


def step(page: Page, name: str) -> None:
    expect(page.locator("[aria-current=step]")).to_contain_text(name)


def test_every_step_holds_the_basics_with_and_without_errors(visit: Callable[..., Visitor], models: Path) -> None:
    page = visit().page
    draft = begin(page, models / "iris.joblib")
    page.goto(f"{draft}function/")
    page.get_by_label("Name", exact=True).fill("Not a name")
    page.get_by_role("button", name="Next: Cache").click()
    page.goto(f"{draft}cache/")
    page.get_by_text("Some fields masked").click()
    page.get_by_role("button", name="Next: Environment").click()
    found: list[str] = []
    for name in STEPS:
        page.goto(f"{draft}{name}/?check=1")
        found += problems_of(page)
    assert not found, "\n".join(found)


def test_a_name_is_judged_while_it_is_typed_and_one_click_cures_it(visit: Callable[..., Visitor], models: Path) -> None:
    page = visit().page
    page.goto(f"{begin(page, models / 'iris.joblib')}function/")
    name = page.get_by_label("Name", exact=True)
    name.press_sequentially("digits")
    expect(page.get_by_text("digits is taken")).to_be_visible()
    page.get_by_role("button", name="Use digits-2").click()
    expect(page.get_by_text("digits-2 is free")).to_be_visible()
    expect(name).to_have_value("digits-2")


def test_enter_goes_on_and_an_error_takes_the_focus(visit: Callable[..., Visitor], models: Path) -> None:
    page = visit().page
    page.goto(f"{begin(page, models / 'iris.joblib')}function/")
    page.get_by_label("Name", exact=True).fill("a--b")
    page.keyboard.press("Enter")
    step(page, "Function")
    expect(page).to_have_title(re.compile("^Error"))
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    expect(page.get_by_label("Name", exact=True)).to_have_attribute("aria-invalid", "true")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("a-b")
    page.keyboard.press("Enter")
    step(page, "Cache")


def test_a_click_on_another_step_keeps_what_was_typed(visit: Callable[..., Visitor], models: Path) -> None:
    page = visit().page
    page.goto(f"{begin(page, models / 'iris.joblib')}model/")
    page.get_by_label("Requirements").fill("xgboost==2.1.3")
    page.locator(".rail").get_by_text("Cache").click()
    step(page, "Cache")
    page.get_by_role("button", name="Back").click()
    step(page, "Function")
    page.locator(".rail").get_by_text("Model").click()
    expect(page.get_by_label("Requirements")).to_have_value("xgboost==2.1.3")


def test_fields_show_with_the_choice_that_they_belong_to(visit: Callable[..., Visitor], models: Path) -> None:
    page = visit().page
    draft = begin(page, models / "iris.joblib")
    page.goto(f"{draft}function/")
    expect(page.get_by_label("Blobs read from")).to_be_hidden()
    page.get_by_text("Blobs that arrive").click()
    expect(page.get_by_label("Blobs read from")).to_be_visible()
    expect(page.get_by_label("Route")).to_be_hidden()
    page.goto(f"{draft}cache/")
    page.get_by_label("Other size in MB").fill("100")
    expect(page.get_by_role("radio", name="Another size")).to_be_checked()


def test_without_script_every_step_works(visit: Callable[..., Visitor], models: Path) -> None:
    page = visit(script=False).page
    begin(page, models / "iris.joblib")
    page.get_by_role("button", name="Next: Function").click()
    page.get_by_label("Name", exact=True).fill("plain")
    page.get_by_role("button", name="Next: Cache").click()
    page.get_by_text("1 week").click()
    page.get_by_role("button", name="Next: Environment").click()
    page.get_by_role("button", name="Next: Review").click()
    expect(page.get_by_role("button", name="Approve and deploy")).to_be_enabled()
    expect(page.locator(".plan-row")).to_have_count(3)
    page.get_by_text("Show the YAML").click()
    expect(page.get_by_text("ttl_seconds: 604800")).to_be_visible()
    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_text("was discarded")).to_be_visible()
