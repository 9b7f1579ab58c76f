"""Headless Chromium for tests of the page; they are skipped where there is none."""
import contextlib
import shutil
import threading

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@contextlib.contextmanager
def chromium(*switches, **options):
    """A browser with switches of Chromium, closed at the end; skips where there is no Chromium or no Playwright."""
    playwright = pytest.importorskip("playwright.sync_api",
                                     reason="Playwright is not installed (extra 'test')")
    if not CHROMIUM:
        pytest.skip("no Chromium, in which the page is tested (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=CHROMIUM,
                                       args=["--no-sandbox", *switches], **options)
        yield browser
        browser.close()


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
