"""The servers and the browser of the browser tests; skipped where there is no Chromium.

`NBTRANSFER_CHROMIUM` names another one; `NBTRANSFER_REQUIRE_BROWSER=1` fails where there is none.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.browser.harness import CHROMIUM_ARGS, OpenNotebook, running_server, write_notebook

FAILED = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Let the fixture know how the test ended: a failure leaves its pictures."""
    report = yield
    if call.when == "call":
        item.stash[FAILED] = report.failed
    return report


def missing() -> str | None:
    """Why the browser tests cannot run here, or None."""
    try:
        import playwright  # noqa: F401
    except ImportError:
        return "playwright is not installed (it is in the test extra)"
    if chromium() is None:
        return "no Chromium: apt-get install chromium, or set NBTRANSFER_CHROMIUM"
    return None


def chromium() -> str | None:
    named = os.environ.get("NBTRANSFER_CHROMIUM")
    found = [shutil.which(name) for name in (named, "chromium", "chromium-browser") if name]
    return next((path for path in found if path), None)


@pytest.fixture(scope="module")
def context():
    """A browser profile for one module: Playwright's event loop must not outlive it."""
    if reason := missing():
        if os.environ.get("NBTRANSFER_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(CHROMIUM_ARGS))
        yield browser.new_context(viewport={"width": 1280, "height": 1000})
        browser.close()


@pytest.fixture(scope="module", params=["lab", "notebook"])
def server(request, tmp_path_factory):
    """JupyterLab, then Notebook 7: each test runs in both."""
    with running_server(request.param, tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture
def open_notebook(server, context, request):
    """A function that opens a new notebook with the given cells; kernels end with the test."""
    opened: list[OpenNotebook] = []

    def open_(*cells: str) -> OpenNotebook:
        name = f"{request.node.originalname}_{len(opened)}.ipynb"
        write_notebook(server.root / name, *cells)
        book = OpenNotebook(server, context.new_page(), name)
        opened.append(book)
        book.load()
        return book

    yield open_
    for book in opened:
        if request.node.stash.get(FAILED, False):
            book.screenshot(f"failed-{book.name.removesuffix('.ipynb')}-{server.app}")
        book.page.close()
    server.end_kernels()
