"""Headless Chromium for tests of the page; they are skipped where there is none."""
import contextlib
import json
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
BLOCKED = 2  # what Chromium calls a setting that refuses


@contextlib.contextmanager
def launching():
    """Playwright's Chromium with how to start it; one at a time in a process."""
    playwright = pytest.importorskip("playwright.sync_api",
                                     reason="Playwright is not installed (extra 'test')")
    if not CHROMIUM:
        pytest.skip("no Chromium, in which the page is tested (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as tool:
        yield tool.chromium, {"executable_path": CHROMIUM, "args": ["--no-sandbox"]}


@contextlib.contextmanager
def chromium(*switches, **options):
    """A browser with switches of Chromium, closed at the end; skips where there is no Chromium."""
    with launching() as (tool, how):
        browser = tool.launch(**{**how, "args": [*how["args"], *switches]}, **options)
        yield browser
        browser.close()


@contextlib.contextmanager
def own_chromium(folder, **settings):
    """A context of a user's own browser, not a private one; `folder` is for its profile.

    Args:
      settings: What is BLOCKED in it, such as cookies=BLOCKED, which is all storage.
    """
    (folder / "Default").mkdir(parents=True)
    (folder / "Default" / "Preferences").write_text(json.dumps(
        {"profile": {"default_content_setting_values": settings}}))
    with launching() as (tool, how):
        context = tool.launch_persistent_context(folder, **how)
        yield context
        context.close()


class Watched:
    """What a context of a browser does, its workers and its service worker included.

    Attributes:
      asked: Addresses of all requests.
      by_service_worker: Those of them that the service worker made by itself.
      wrong: Errors that nothing caught.
      said: What was written to the console, which is a browser's log.
    """

    def __init__(self, context):
        self.asked, self.by_service_worker, self.wrong, self.said = [], [], [], []
        context.on("request", self._note)
        context.on("weberror", lambda told: self.wrong.append(str(told.error)))
        context.on("console", lambda message: self.said.append(message.text))

    def _note(self, request):
        self.asked.append(request.url)
        if request.service_worker:
            self.by_service_worker.append(request.url)


def served(folder):
    """The address of a server of `folder` on this machine, and the server."""
    from nurture_jax.app.serve import server

    return _at_work(server(folder, port=0))


def listening(handler):
    """The address of a server, and the server; `asked` of it is what was asked for."""
    server = ThreadingHTTPServer(("localhost", 0), handler)
    server.asked = []
    return _at_work(server)


@contextlib.contextmanager
def _at_work(server):
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{server.server_address[1]}", server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class AnyServer(SimpleHTTPRequestHandler):
    """Any static server: it sends no header of ours."""

    def log_message(self, *_):
        pass


def served_by_any(folder):
    """The address of any static server of `folder`, and the server."""
    return listening(partial(AnyServer, directory=folder))
