"""Pages out of templates: text escaped, everything inside, nothing forgotten."""
import base64

import jinja2
import matplotlib.figure
import pytest
from html_pages import Page

from deps_jax.common.command import page


def fill(template, **values):
    """A template that is given as text and may use the shared ones."""
    return page._environment(page.SHARED).from_string(template).render(values)


TABLE = """{% extends "base.html.j2" %}{% import "parts.html.j2" as parts %}
{% block style %}p { color: red }{% endblock %}
{% block content %}{{ parts.table(header, rows, code=true) }}
{{ parts.picture(url, "points " ~ text) }}
{% call parts.details(text, open=true) %}{{ text }}{% endcall %}{% endblock %}"""


def test_text_is_escaped_wherever_it_stands():
    hostile = """<script>alert("1")</script>'&"""
    source = fill(TABLE, title=hostile, header=[hostile], rows=[[hostile, 3]], text=hostile,
                  url=page.inline(b"x"))
    found = Page(source)
    assert found.rows == [[hostile], [hostile, "3"]] and "p { color: red }" in source
    assert found.text.count(hostile.split()[0]) == 6  # title, headline, cells, summary, details
    assert found.count("img", alt=f"points {hostile}") == found.count("code") == 1
    assert found.count("details", open=None) == 1


def test_a_value_that_is_missing_is_an_error_and_no_gap():
    with pytest.raises(jinja2.UndefinedError, match="'header' is undefined"):
        fill(TABLE, title="t", rows=[], text="", url="data:")


def test_a_picture_lies_inside():
    url = page.inline(page.png(matplotlib.figure.Figure((1, 1))))
    assert base64.b64decode(url.removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")


def test_a_cell_of_a_table_in_markdown_stays_one_cell():
    assert fill("{{ text | markdown_cell }}", text="a | <b>\nc") == r"a \| &lt;b&gt; c"


@pytest.mark.parametrize(("text", "cell"), [
    ("a | <b>\nc", r"a \| &lt;b&gt; c"), ("Anna's & 5", "Anna's &amp; 5"), (2.5, "2.5"),
    ("a\r\nb", "a b"), (r"ends \ ", r"ends \\ "), (r"\|", r"\\\|"),
    ("![x](http://here)", r"![x]\(http://here)")])
def test_such_a_cell_can_be_written_without_a_template(text, cell):
    assert page.markdown_cell(text) == cell
    if "'" not in str(text):  # a template escapes it, too
        assert fill("{{ text | markdown_cell }}", text=text) == cell
