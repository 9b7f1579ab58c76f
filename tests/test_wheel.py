"""What is installed: a wheel holds every file that the packages read."""
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_a_wheel_holds_what_the_packages_read(tmp_path):
    """Built of a copy, as building leaves folders behind."""
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    without_caches = shutil.ignore_patterns("__pycache__")
    for name in ("deps_jax", "nurture_jax"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=without_caches)
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps",
                    "--no-build-isolation", "--wheel-dir", tmp_path / "dist", tmp_path],
                   check=True, capture_output=True)
    wheel, = (tmp_path / "dist").iterdir()
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {path.relative_to(ROOT).as_posix() for name in ("deps_jax", "nurture_jax")
              for path in (ROOT / name).rglob("*") if path.suffix in (".py", ".j2", ".cc", ".json")}
    assert sum(name.endswith(".j2") for name in wanted) >= 7
    assert "nurture_jax/rules.json" in wanted and wanted <= held
