"""The test form and the inspector in a browser: drawing, fields and JSON are one input; it works without script."""

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.basics import problems_of
from tests.browser.conftest import Visitor

pytestmark = pytest.mark.browser

TEST, CACHE = "/deployments/digits/test/", "/deployments/digits/cache/"


def rows(page: Page) -> list[list[float]]:
    found = json.loads(page.get_by_label("The input as JSON").input_value())
    assert isinstance(found, list)
    return found


def test_a_drawn_digit_is_sent_twice_and_found_in_the_cache(visit: Callable[..., Visitor]) -> None:
    page = visit().page
    page.goto(TEST)
    page.get_by_role("button", name="Clear").click()
    pad = page.locator("[data-draw]")
    box = pad.bounding_box()
    assert box is not None
    cell = box["width"] / 8
    page.mouse.move(box["x"] + 3.5 * cell, box["y"] + 1.5 * cell)
    page.mouse.down()
    page.mouse.move(box["x"] + 3.5 * cell, box["y"] + 6.5 * cell, steps=12)
    page.mouse.up()
    drawn = rows(page)[0]
    assert [drawn[y * 8 + 3] for y in range(1, 7)] == [16] * 6
    assert drawn[2 * 8 + 2] == 4
    page.get_by_role("button", name="Send twice").click()
    result = page.locator("#result")
    expect(result.locator(".verdict")).to_have_text(["MISS", "HIT"])
    expect(result).to_contain_text("Answers equal")
    assert rows(page)[0] == drawn
    result.get_by_role("link", name="Look into the cache").click()
    panel = page.get_by_role("complementary", name="Entry")
    expect(panel).to_contain_text("Stored value")
    panel.get_by_role("button", name="Score now").click()
    expect(panel).to_contain_text("Cached and fresh")
    expect(panel).to_contain_text("Equal")
    panel.get_by_role("link", name="Open in test form").click()
    assert rows(page)[0] == drawn


def test_the_pad_is_drawn_on_with_the_keyboard_alone(visit: Callable[..., Visitor]) -> None:
    page = visit().page
    page.goto(TEST)
    page.get_by_role("button", name="Clear").click()
    page.locator("[data-draw]").focus()
    for key in ("ArrowRight", "ArrowDown", " ", " ", "ArrowDown", " "):
        page.keyboard.press(key)
    drawn = rows(page)[0]
    assert (drawn[9], drawn[17], sum(drawn)) == (16, 8, 24)
    expect(page.locator("#announce")).to_have_text("Row 3, column 2: 8 of 16")
    page.keyboard.press("Backspace")
    assert rows(page)[0][17] == 0
    page.get_by_role("button", name="Undo").click()
    assert rows(page)[0][17] == 8


def test_fields_json_and_drawing_are_one_input(visit: Callable[..., Visitor]) -> None:
    page = visit().page
    page.goto(TEST)
    page.get_by_role("link", name="Fields").click()
    page.locator("#f3").fill("2.5")
    assert rows(page)[0][3] == 2.5
    json_field = page.get_by_label("The input as JSON")
    json_field.fill(json.dumps([[7] * 64, [1] * 64]))
    expect(page.locator("#f63")).to_have_value("7")
    page.locator("#f0").fill("9")
    assert rows(page) == [[9] + [7] * 63, [1] * 64]
    page.get_by_role("link", name="Draw").click()
    assert page.locator("[data-draw] g rect").count() == 64


def test_the_form_works_without_script(visit: Callable[..., Visitor]) -> None:
    page = visit(script=False).page
    page.goto(TEST + "?tab=fields")
    page.locator("#f10").fill("11")
    page.get_by_role("button", name="Send once").click()
    expect(page.locator("#result .verdict")).to_have_count(1)
    assert rows(page)[0][10] == 11
    page.get_by_role("link", name="Python").click()
    expect(page.locator("#text-python")).to_be_visible()
    page.goto(CACHE)
    page.locator('input[name="key"]').first.check()
    page.locator(".bulk").get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete 1 entry").click()
    expect(page.get_by_text("1 entry deleted.")).to_be_visible()


def test_a_sample_is_saved_and_taken_again(visit: Callable[..., Visitor]) -> None:
    page = visit().page
    page.goto(TEST + "?tab=json")
    page.get_by_label("The input as JSON").fill(json.dumps([[3] * 64]))
    page.get_by_text("Save as a sample").click()
    page.get_by_label("Name", exact=True).fill("all threes")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_label("Sample").select_option("Example of the model")
    page.wait_for_url(re.compile(r"sample=$"))
    assert rows(page) != [[3] * 64]
    page.get_by_label("Sample").select_option("all threes")
    page.wait_for_url(re.compile(r"sample=\d+$"))
    assert rows(page) == [[3] * 64]


@pytest.mark.parametrize("path", [TEST + "?tab=fields", TEST + "?tab=file", CACHE + "find/", CACHE + "epoch/"])
def test_the_other_pages_hold_the_basics_too(visit: Callable[..., Visitor], path: str) -> None:
    page = visit().page
    page.goto(path)
    problems = problems_of(page)
    assert not problems, "\n".join(problems)


def test_a_result_and_an_opened_entry_hold_the_basics_too(visit: Callable[..., Visitor]) -> None:
    page = visit().page
    page.goto(TEST)
    page.get_by_role("button", name="Send twice").click()
    page.wait_for_url(re.compile("result="))
    assert problems_of(page) == []
    page.get_by_role("link", name="Look into the cache").click()
    page.wait_for_url(re.compile("key="))
    assert problems_of(page) == []
