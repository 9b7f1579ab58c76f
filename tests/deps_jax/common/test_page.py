"""Parts of a page: everything escaped, everything inside."""
import base64

import matplotlib.figure

from deps_jax.common.page import page, picture, table


def test_text_is_escaped():
    whole = page("a < b", table(["<i>"], [["x & y"]]), "p { color: red }")
    assert "<title>a &lt; b</title>" in whole and "<h1>a &lt; b</h1>" in whole
    assert "&lt;i&gt;" in whole and "x &amp; y" in whole and "p { color: red }" in whole


def test_a_picture_lies_inside():
    tag = picture(matplotlib.figure.Figure((1, 1)), 'points "over" time')
    assert 'alt="points &quot;over&quot; time"' in tag
    data = base64.b64decode(tag.split("base64,")[1].rstrip('">'))
    assert data.startswith(b"\x89PNG")
