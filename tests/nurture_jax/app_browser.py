"""Headless Chromium for tests of the page; they are skipped where there is none."""
import contextlib
import json
import shutil
import threading

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


@contextlib.contextmanager
def served(folder):
    """The address of a server of `folder` on this machine, and the server."""
    from nurture_jax.app.serve import server

    running = server(folder, port=0)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{running.server_address[1]}", running
    finally:
        running.shutdown()
        running.server_close()
        thread.join()
