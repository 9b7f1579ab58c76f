"""A server of the built page for a look at it: types, byte ranges and the headers of safety.

A page for use needs HTTPS and any static server that sends `HEADERS`; browsers make an exception
for localhost alone.
"""
from __future__ import annotations

import os
import re
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO

# Nothing is loaded from or sent to another place, which the browser itself sees to. WebAssembly
# has to be compiled, and a chosen video is shown from memory (blob:).
POLICY = ("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
          "img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; "
          "worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
          "frame-ancestors 'none'")
NOT_IN_THE_PAGE = ("frame-ancestors",)  # what browsers read in a header alone
# The service worker sends these for any server, see sw.mjs.
SAFETY = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",  # this and the next allow several threads
    "Cross-Origin-Embedder-Policy": "require-corp",
}
HEADERS = {
    **SAFETY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",  # ask whether it has changed; the service worker keeps it
}
TYPES = {".html": "text/html; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
         ".css": "text/css; charset=utf-8", ".json": "application/json; charset=utf-8",
         ".webmanifest": "application/manifest+json", ".wasm": "application/wasm",
         ".onnx": "application/octet-stream", ".png": "image/png", ".svg": "image/svg+xml",
         ".txt": "text/plain; charset=utf-8"}


def policy_of_the_page() -> str:
    """The policy as a page says it itself, whatever its server sends."""
    return "; ".join(rule for rule in POLICY.split("; ")
                     if rule.split(" ")[0] not in NOT_IN_THE_PAGE)


class Handler(SimpleHTTPRequestHandler):
    """Files of one folder, whole or a range of bytes; nothing is listed and nothing is logged."""

    extensions_map = TYPES
    protocol_version = "HTTP/1.1"

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Accept-Ranges", "bytes")
        super().end_headers()

    def list_directory(self, path: str) -> None:
        self.send_error(HTTPStatus.NOT_FOUND, "No such file")

    def log_message(self, *_: object) -> None:
        """Says nothing: who asks for what is nobody's business."""

    def send_head(self) -> BinaryIO | None:
        self._left = None
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if not asked or asked.groups() == ("", "") or not path.is_file():
            return super().send_head()
        return self._range(path, *asked.groups())

    def _range(self, path: Path, first: str, last: str) -> BinaryIO | None:
        """A part of a file; the last bytes of it where no first is given."""
        size = path.stat().st_size
        start = int(first) if first else max(size - int(last), 0)
        end = min(int(last), size - 1) if first and last else size - 1
        if start > end:
            self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        file = path.open("rb")
        file.seek(start)
        self._left = end - start + 1
        self.send_response(HTTPStatus.PARTIAL_CONTENT)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Range", f"bytes {start}-{end}/{size}")
        self.send_header("Content-Length", str(self._left))
        self.end_headers()
        return file

    def copyfile(self, source: BinaryIO, outputfile: BinaryIO) -> None:
        if self._left is None:
            return super().copyfile(source, outputfile)
        while self._left and (part := source.read(min(self._left, 1 << 16))):
            outputfile.write(part)
            self._left -= len(part)


def server(folder: str | os.PathLike, *, host: str = "localhost", port: int = 8000
           ) -> ThreadingHTTPServer:
    """A server of a built page; call its `serve_forever`.

    Args:
      folder: Folder of `build`.
      host: Name or address that it listens at.
      port: Port; 0 takes a free one.

    Raises:
      ValueError: If the folder holds no page, or the port is taken.
    """
    if not (Path(folder) / "index.html").is_file():
        raise ValueError(f"{folder} holds no page (index.html); build one with "
                         f"python -m launch.build_app")
    try:
        return ThreadingHTTPServer((host, port), partial(Handler, directory=os.fspath(folder)))
    except OSError as error:
        raise ValueError(f"port {port} of {host} cannot be used ({error.strerror}); give another "
                         f"--port") from error
