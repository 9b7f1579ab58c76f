"""Extras: their packages are known by the names of imports, and nothing happens on import."""
import configparser
import sys
from importlib import metadata
from pathlib import Path

import pytest

from deps_jax.common.command.extras import EXTRAS, needs

SETUP = Path(__file__).parents[4] / "setup.cfg"


def test_every_package_of_an_extra_is_listed():
    config = configparser.ConfigParser()
    config.read(SETUP)
    distributions = metadata.packages_distributions()
    for extra, packages in EXTRAS.items():
        required = {line.split(">=")[0].lower() for line in
                    config["options.extras_require"][extra].split()}
        listed = {name.lower() for package in packages
                  for name in distributions.get(package, ["torch"])}
        assert required <= listed, extra


def test_the_sentence_of_a_missing_package(capsys):
    with pytest.raises(SystemExit) as stop, needs("export"):
        raise ModuleNotFoundError("No module named 'pymoo.util'", name="pymoo.util")
    assert stop.value.code == 2
    assert capsys.readouterr().err == (
        "error: pymoo is not installed; install the extra that holds it: pip install "
        "'deps-jax[export]'\n")


@pytest.mark.parametrize("error", [
    ModuleNotFoundError("No module named 'deps_jax.lost'", name="deps_jax.lost"),
    ModuleNotFoundError("No module named 'av'", name="av"), ImportError("libGL.so.1"),
    ModuleNotFoundError("no name")])
def test_other_errors_are_passed_on(error):
    with pytest.raises(ImportError) as raised, needs("export"):
        raise error
    assert raised.value is error


def test_nothing_happens_on_import():
    assert "deps_jax.common.command.extras" in sys.modules
    assert sys.excepthook.__module__ != "deps_jax.common.command.extras"
