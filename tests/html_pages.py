"""Reads a page as a browser would, and holds it to what all our pages promise."""
from __future__ import annotations

import html.parser

NEVER_CLOSED = ("meta", "img", "line")
FORBIDDEN = ("script", "link", "iframe", "object", "embed", "base", "form")


class Page(html.parser.HTMLParser):
    """A whole page: every tag closed in its place, no script, nothing loaded from anywhere.

    Attributes:
      text: its words, without styles, one space between them.
      rows: cells of every table row, in the order of the page.
      elements: (name, attributes) of everything on it.
    """

    def __init__(self, source: str):
        super().__init__()
        self.rows, self.elements, self._words, self._open = [], [], [], []
        self.feed(source)
        self.close()
        self.text = " ".join(self._words)
        assert not self._open, f"not closed: {self._open}"
        assert source.startswith("<!doctype html>\n<html lang=") and self.count("h1") == 1

    def count(self, name: str, **attributes: str) -> int:
        """How many elements have this name and at least these attributes."""
        return sum(found == name and attributes.items() <= of_it.items()
                   for found, of_it in self.elements)

    def handle_starttag(self, tag, attrs):
        assert tag not in FORBIDDEN, tag
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in {tag}: {attrs}"
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            assert name not in ("src", "href") or value.startswith("data:"), (tag, value)
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in NEVER_CLOSED:
            self._open.append(tag)

    def handle_endtag(self, tag):
        if tag not in NEVER_CLOSED:
            assert self._open[-1:] == [tag], f"</{tag}> closes {self._open[-1:]}"
            self._open.pop()

    def handle_data(self, data):
        if "style" in self._open:
            return
        self._words += data.split()
        if self._open and self._open[-1] in ("td", "th", "code"):
            self.rows[-1][-1] += data
