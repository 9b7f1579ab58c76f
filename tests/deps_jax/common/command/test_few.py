"""Of many names the first are told, and that there are more."""
import pytest

from deps_jax.common.command.few import few


@pytest.mark.parametrize(("names", "told"), [
    ([], ""), (["a"], "a"), (("a", "b", "c"), "a, b, c"), (["a", "b", "c", "d"], "a, b, c, ...")])
def test_the_first_are_told(names, told):
    assert few(names) == told
