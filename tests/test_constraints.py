"""Versions: each requirement is in the constraints, and whatever `make` installs obeys them."""
import configparser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent


def requirements() -> list[Requirement]:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    texts = [config["options"]["install_requires"], *config["options.extras_require"].values()]
    return [Requirement(line) for text in texts for line in text.split()]


def constraints() -> dict[str, Requirement]:
    lines = (ROOT / "tests" / "constraints.txt").read_text().splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


@pytest.mark.parametrize("required", requirements(), ids=lambda requirement: requirement.name)
def test_each_requirement_has_a_lower_bound_and_a_version_that_was_tested(required):
    (lower,) = required.specifier
    (tested,) = constraints()[canonicalize_name(required.name)].specifier
    assert (lower.operator, tested.operator) == (">=", "==")
    assert Version(lower.version) <= Version(tested.version)


def test_every_installation_obeys_the_constraints():
    lines = [line for line in (ROOT / "Makefile").read_text().splitlines() if "pip install" in line]
    assert len(lines) == 4 and all("$(CONSTRAINTS) " in line for line in lines)
    assert [line for line in lines if "--no-deps" in line] == [lines[-1]]
    assert lines[-1].endswith(" anny") and "anny" in constraints()
    assert {"jaxlib", "ml-dtypes", "protobuf", "tensorstore", "etils"} <= constraints().keys()
