"""The console and the browser that all browser tests share, and pages that remember what went wrong in them."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, StorageState, sync_playwright

from tests.browser.running import Console, running

PATIENCE_MS = 15_000


@dataclass(frozen=True, slots=True)
class Visitor:
    """A signed-in browser."""

    page: Page
    complaints: list[str]


@pytest.fixture(scope="session")
def console() -> Iterator[Console]:
    with running() as started:
        yield started


# For one file at a time: while it is open, its event loop keeps Django's database from the tests that follow.
@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # The sandbox needs user namespaces, which a container's root has not; pages are the console's own.
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def signed_in(browser: Browser, console: Console) -> StorageState:
    """The cookies of a sign-in through the form."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(console.url)
    page.get_by_label("User name").fill(console.username)
    page.get_by_label("Password").fill(console.password)
    page.get_by_label("Password").press("Enter")
    page.get_by_role("link", name="Deployments").first.wait_for()
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def visit(browser: Browser, console: Console, signed_in: StorageState) -> Iterator[Callable[..., Visitor]]:
    """Opens signed-in pages. What the browser complains of, a blocked style or script among it, fails the test."""
    opened: list[tuple[Any, list[str]]] = []

    def open_page(*, script: bool = True) -> Visitor:
        context = browser.new_context(
            base_url=console.url,
            storage_state=signed_in,
            viewport={"width": 1440, "height": 900},
            java_script_enabled=script,
        )
        context.set_default_timeout(PATIENCE_MS)
        page, complaints = context.new_page(), []

        def on_console(message: ConsoleMessage) -> None:
            # A 4xx that a test provokes is told by the browser as an error of its own.
            if message.type in ("error", "warning") and "the server responded with a status of 4" not in message.text:
                complaints.append(f"{page.url}: {message.text}")

        page.on("console", on_console)
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        opened.append((context, complaints))
        return Visitor(page, complaints)

    yield open_page
    found = [complaint for _context, complaints in opened for complaint in complaints]
    for context, _complaints in opened:
        context.close()
    assert not found


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `iris.joblib` and `deep_iris.joblib`, trained in a child process as a data scientist would."""
    folder = tmp_path_factory.mktemp("models")
    subprocess.run([sys.executable, Path(__file__).with_name("training.py"), folder], check=True)
    return folder
