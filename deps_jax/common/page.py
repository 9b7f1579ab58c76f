"""Parts of a self-contained HTML page: nothing is loaded from anywhere."""
from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse } td, th { padding: .2rem .8rem; text-align: right }
td:first-child, th:first-child { text-align: left } tr:nth-child(even) { background: #f3f3f3 }
img { max-width: 100% } summary { cursor: pointer }
"""


def page(title: str, body: str, style: str = "") -> str:
    """A whole page; `body` is HTML, `style` is added to STYLE."""
    return (f'<!doctype html>\n<html lang="en"><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width">'
            f"<title>{html.escape(title)}</title>\n<style>{STYLE}{style}</style>\n"
            f"<h1>{html.escape(title)}</h1>\n{body}\n</html>\n")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of plain text; everything is escaped."""
    head = "".join(f"<th>{html.escape(cell)}" for cell in header)
    lines = ("<tr>" + "".join(f"<td>{html.escape(cell)}" for cell in row) for row in rows)
    return f"<table><tr>{head}\n" + "\n".join(lines) + "</table>"


def picture(figure, text: str) -> str:
    """A matplotlib figure as an image inside the page; `text` says what it shows."""
    return f'<img alt="{html.escape(text)}" src="{inline(png(figure))}">'


def png(figure) -> bytes:
    """A matplotlib figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def inline(data: bytes) -> str:
    """A PNG as a URL that holds it."""
    return "data:image/png;base64," + base64.b64encode(data).decode()
