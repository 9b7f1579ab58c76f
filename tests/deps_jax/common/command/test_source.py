"""The commit is that of this code or none."""
import subprocess

from deps_jax.common.command import source


def git(folder, *arguments):
    subprocess.run(["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b",
                    *arguments], check=True, capture_output=True)


def test_commit_of_its_own_repository_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "ROOT", tmp_path)
    assert source.git_commit() == ""
    git(tmp_path, "init")
    assert source.git_commit() == ""  # nothing committed yet
    (tmp_path / "file").write_text("a")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "a")
    commit = source.git_commit()
    assert len(commit) == 40
    (tmp_path / "file").write_text("b")
    assert source.git_commit() == commit + "+"
    (tmp_path / "site-packages").mkdir()
    monkeypatch.setattr(source, "ROOT", tmp_path / "site-packages")
    assert source.git_commit() == ""


def test_version_of_what_is_installed(monkeypatch):
    def nothing(name):
        raise source.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(source.metadata, "version", lambda name: {"deps-jax": "1.2"}[name])
    assert source.package_version() == "1.2"
    monkeypatch.setattr(source.metadata, "version", nothing)
    assert source.package_version() == ""
