"""A real JupyterLab or Notebook 7 and a real Chromium: open a notebook, run cells, act, look.

Everything a test knows about the front ends' insides is in this file. Cells are run and read
through `window.jupyterapp`, which both front ends expose on request; what a user touches (sliders,
buttons) is touched with the mouse, because arrow keys do not reach sliders in Notebook 7.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import nbformat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import ConsoleMessage, Locator, Page

App = Literal["lab", "notebook"]

SCREENSHOTS = Path(__file__).parent / "screenshots"
TOKEN = "browser-tests"

# Chromium in a container: no sandbox, no GPU, and no calls home.
CHROMIUM_ARGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)

# Lines in the console that are the front ends' own, with the notebook empty.
NOT_OURS = (
    "favicon",
    "/api/workspaces",
    "/lab/api/",
    "WebSocket",
    "ResizeObserver loop",
    "debugger state",  # JupyterLab, when its kernel is restarted
    "reading 'schema'",  # Notebook 7.6 opening any notebook with fresh settings
)

_NOTEBOOK = (
    "const panel = [...window.jupyterapp.shell.widgets('main')]"
    ".find(w => w.sessionContext && w.content && w.content.widgets);"
)


def wait_until(
    holds: Callable[[], bool], what: str, timeout_s: float = 60.0, every_s: float = 0.15
) -> None:
    """Wait for `holds`; fail with `what` was awaited."""
    end = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {timeout_s:g} s for {what}")
        time.sleep(every_s)


def write_notebook(path: Path, *cells: str) -> Path:
    """Write a notebook whose code cells are `cells`."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    book.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(book, path)
    return path


class Server:
    """A Jupyter server of its own: own configuration, own folder, own port, ended by its pid."""

    def __init__(self, app: App, root: Path, settings: dict[str, dict[str, Any]] | None = None):
        self.app = app
        self.root = root / "files"
        self.runs_dir = self.root / "runs"
        self._home = root / "home"
        self.log = root / "server.log"
        # No question about news over the picture.
        self._write_settings("@jupyterlab/apputils-extension/notification", {"fetchNews": "false"})
        for plugin, values in (settings or {}).items():
            self._write_settings(plugin, values)
        self.root.mkdir(parents=True, exist_ok=True)
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None

    def _write_settings(self, plugin: str, values: dict[str, Any]) -> None:
        path = self._home / "settings" / f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))

    def _environment(self) -> dict[str, str]:
        """The user's own Jupyter set-up must not decide whether a test passes."""
        home = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "IPYTHONDIR": "ipython",
        }
        own = {name: str(self._home / folder) for name, folder in home.items()}
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("NBTRANSFER_")}
        return {
            **inherited,
            **own,
            "JUPYTER_PLATFORM_DIRS": "1",
            "NBTRANSFER_RUNS_DIR": str(self.runs_dir),
            "HF_HUB_OFFLINE": "1",
        }

    def start(self) -> None:
        """Start the server and wait until it answers; it chooses a free port itself."""
        application = {"lab": "LabApp", "notebook": "JupyterNotebookApp"}[self.app]
        command = [
            sys.executable,
            "-m",
            {"lab": "jupyterlab", "notebook": "notebook"}[self.app],
            "--no-browser",
            "--allow-root",
            "--ip=127.0.0.1",
            "--port=0",
            f"--IdentityProvider.token={TOKEN}",
            f"--ServerApp.root_dir={self.root}",
            f"--{application}.expose_app_in_browser=True",
        ]
        if self.app == "lab":
            command.append("--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate")
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env=self._environment(), start_new_session=True
            )
        wait_until(self._answers, f"the {self.app} server (see {self.log})")

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"the server ended:\n{self.log.read_text()[-3000:]}")
        for path in (self._home / "runtime").glob(f"jpserver-{self._process.pid}.json"):
            with contextlib.suppress(OSError, ValueError):
                self.url = json.loads(path.read_text())["url"].rstrip("/")
                self.ask("/api/status")
                return True
        return False

    def ask(self, path: str, method: str = "GET") -> Any:
        """Call the server's own interface."""
        request = urllib.request.Request(
            self.url + path, method=method, headers={"Authorization": f"token {TOKEN}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def end_kernels(self) -> None:
        """End every kernel, as closing the notebooks would."""
        for kernel in self.ask("/api/kernels"):
            with contextlib.suppress(urllib.error.URLError):
                self.ask(f"/api/kernels/{kernel['id']}", "DELETE")

    def stop(self) -> None:
        """End the kernels, then the server."""
        if self._process is None:
            return
        with contextlib.suppress(OSError):
            self.end_kernels()
        self._process.terminate()
        try:
            self._process.wait(8)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def running_server(app: App, root: Path, **options: Any) -> Iterator[Server]:
    """A server for the length of a `with`."""
    server = Server(app, root, **options)
    try:
        server.start()
        yield server
    finally:
        server.stop()


class OpenNotebook:
    """One notebook open in one page."""

    def __init__(self, server: Server, page: Page, name: str):
        self.server, self.page, self.name = server, page, name
        self.console: list[str] = []
        page.set_default_timeout(60_000)
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.console.append(f"uncaught: {error}"))

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.console.append(f"{message.text} [{(message.location or {}).get('url', '')}]")

    def console_errors(self) -> list[str]:
        """The errors in the browser's console that an empty notebook does not have."""
        return [line for line in self.console if not any(known in line for known in NOT_OURS)]

    def load(self) -> None:
        """Go to the notebook (again) and wait for its kernel."""
        folder = "lab/tree" if self.server.app == "lab" else "notebooks"
        reset = "&reset" if self.server.app == "lab" else ""
        self.page.goto(
            f"{self.server.url}/{folder}/{self.name}?token={TOKEN}{reset}",
            wait_until="domcontentloaded",
        )
        self.page.wait_for_selector(".jp-Notebook .jp-Cell")
        self.wait_for_kernel()

    def js(self, body: str, argument: object = None) -> Any:
        """Run `body` in the page, with `panel` bound to the notebook and `arg` to `argument`."""
        return self.page.evaluate(f"async (arg) => {{ {_NOTEBOOK} {body} }}", argument)

    def wait_for_kernel(self) -> None:
        """Wait until the kernel answers."""
        ready = (
            "return ['idle', 'busy'].includes(panel?.sessionContext?.session?.kernel?.status)"
            " && panel.sessionContext.session.kernel.connectionStatus === 'connected'"
        )
        wait_until(lambda: bool(self.js(ready)), "the kernel")

    def start_cell(self, index: int) -> None:
        """Run one cell and return at once."""
        self.js(
            "panel.content.activeCellIndex = arg; panel.content.deselectAll();"
            "window.jupyterapp.commands.execute('notebook:run-cell');",
            index,
        )
        wait_until(lambda: self.is_running(index) or self.has_run(index), f"cell {index} to start")

    def run_cell(self, index: int, timeout_s: float = 120, *, may_fail: bool = False) -> None:
        """Run one cell and wait until it is done; its error is the test's unless it `may_fail`."""
        self.start_cell(index)
        self.wait_for_cell(index, timeout_s)
        if not may_fail:
            raised = [o for o in self.outputs(index) if o["output_type"] == "error"]
            assert not raised, f"cell {index}: {raised[0]['ename']}: {raised[0]['evalue']}"

    def wait_for_cell(self, index: int, timeout_s: float = 120) -> None:
        """Wait until the cell is done."""
        wait_until(lambda: self.has_run(index), f"cell {index} to end", timeout_s)

    def _prompt(self, index: int) -> str:
        """`[*]:` while a cell runs. The kernel's own busy circle lies while subshells run."""
        find = "return panel.content.widgets[arg].node.querySelector('.jp-InputPrompt').innerText"
        return str(self.js(find, index))

    def is_running(self, index: int) -> bool:
        """Whether the cell is running or waits for its turn."""
        return "*" in self._prompt(index)

    def has_run(self, index: int) -> bool:
        """Whether the cell has been run and is done."""
        return any(c.isdigit() for c in self._prompt(index))

    def clear_prompts(self) -> None:
        """Forget what has run, so that `run_cell` of the same cell waits for the new run."""
        self.js("window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs');")

    def outputs(self, index: int) -> list[dict[str, Any]]:
        """The cell's outputs, as the notebook's file will hold them."""
        return self.js("return panel.content.widgets[arg].model.outputs.toJSON()", index)

    def text(self, index: int) -> str:
        """What the cell printed."""
        return "".join(o["text"] for o in self.outputs(index) if o["output_type"] == "stream")

    def shown(self, index: int) -> Locator:
        """What the page shows below the cell, to act on and to look at."""
        return (
            self.page.locator(".jp-Notebook .jp-CodeCell").nth(index).locator(".jp-Cell-outputArea")
        )

    def scroll_to(self, index: int) -> None:
        """Bring the cell into view: the front ends draw only what is near the screen."""
        self.js(
            "panel.content.activeCellIndex = arg; await panel.content.scrollToItem(arg);", index
        )

    def save(self) -> dict[str, Any]:
        """Save the notebook and return what its file holds."""
        self.js("await panel.context.save();")
        return json.loads((self.server.root / self.name).read_text())

    def restart_kernel(self) -> None:
        """Restart the kernel, as the toolbar's button does once confirmed."""
        self.js("await panel.sessionContext.session.kernel.restart();")
        self.wait_for_kernel()

    def interrupt(self) -> None:
        """Interrupt the kernel, as the toolbar's square does."""
        self.js("await panel.sessionContext.session.kernel.interrupt();")

    def drag_slider(self, slider: Locator, by: float) -> None:
        """Drag the handle `by` this share of the slider's length (negative: to the left)."""
        handle = slider.locator(".noUi-handle").first
        handle.scroll_into_view_if_needed()
        at, track = handle.bounding_box(), slider.locator(".noUi-base").first.bounding_box()
        assert at and track, "the slider is not on the screen"
        x, y = at["x"] + at["width"] / 2, at["y"] + at["height"] / 2
        mouse = self.page.mouse
        mouse.move(x, y)
        mouse.down()
        for part in (0.25, 0.5, 0.75, 1.0):
            mouse.move(x + by * track["width"] * part, y)
        mouse.up()

    def dark(self) -> None:
        """Switch JupyterLab to its dark theme."""
        self.js(
            "await window.jupyterapp.commands.execute"
            "('apputils:change-theme', {theme: 'JupyterLab Dark'});"
        )
        # To Playwright the body is hidden, having no size of its own.
        self.page.wait_for_selector("body[data-jp-theme-light='false']", state="attached")
        self.page.wait_for_selector("#jupyterlab-splash", state="detached")

    def screenshot(self, name: str, of: Locator | None = None) -> Path:
        """Save a picture of the page, or of one part, as `screenshots/NAME.png`."""
        SCREENSHOTS.mkdir(exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        (of or self.page).screenshot(path=str(path))
        return path
