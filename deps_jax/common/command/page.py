"""Self-contained pages out of templates: text is escaped, nothing is loaded from anywhere.

Templates are Jinja files in the folder `templates` of a package. They extend `base.html.j2` and
take their tables from `parts.html.j2`, or in Markdown from `parts.md.j2`, which lie here.
"""
from __future__ import annotations

import base64
import html
import io
from functools import cache

import jinja2
import matplotlib.figure

SHARED = __package__  # the package of the base and the parts


def render(package: str, template: str, **values: object) -> str:
    """The text of a page: a template of a package, filled.

    Args:
      package: Name of the package, such as "nurture_jax.report".
      template: Name of a file in its folder `templates`, or of one that lies here.
      values: What the template names. Text in them is escaped; one that is missing is an error.
    """
    return _environment(package).get_template(template).render(**values)


def png(figure: matplotlib.figure.Figure) -> bytes:
    """The bytes of a PNG file of a matplotlib figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def inline(data: bytes) -> str:
    """A URL that holds a PNG file itself."""
    return "data:image/png;base64," + base64.b64encode(data).decode()


def markdown_cell(value: object) -> str:
    """Text for a cell of a table in Markdown that is written without a template.

    It stays one cell, and holds neither HTML nor a link or picture: names of files, sites and
    devices are other people's text.
    """
    return html.escape(_one_cell(value), quote=False)


@cache
def _environment(package: str) -> jinja2.Environment:
    loaders = [jinja2.PackageLoader(name) for name in dict.fromkeys((package, SHARED))]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    environment.filters["markdown_cell"] = _one_cell  # the template escapes HTML
    return environment


def _one_cell(value: object) -> str:
    """Text that bars, backslashes, line ends and brackets of links do not break."""
    text = " ".join(str(value).splitlines()).replace("\\", "\\\\")
    return text.replace("|", "\\|").replace("](", "]\\(")
