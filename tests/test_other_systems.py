"""What can be known here of systems that were never tried."""
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("deps_jax", "nurture_jax")
PROGRAM = f"""
import importlib, pkgutil, sys
sys.modules["fcntl"] = None  # as on Windows
for package in {PACKAGES}:
    for module in pkgutil.walk_packages([package], package + "."):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if error.name != "torch":  # of the benchmark, which `make test` does not install
                raise
        print(module.name)
"""


def test_every_module_is_imported_without_fcntl():
    """`fasteners`, which needs it on POSIX systems alone, is imported where a lock is taken."""
    found = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True,
                           text=True, check=False)
    assert found.returncode == 0, found.stderr
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert len(set(found.stdout.split())) >= len(
        [path for path in files if path.name != "__init__.py"])
