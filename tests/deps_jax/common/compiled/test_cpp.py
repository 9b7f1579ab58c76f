import subprocess

import pytest

from deps_jax.common.compiled import cpp
from deps_jax.common.compiled.cpp import Library
from deps_jax.common.nn.depthwise_cpp import LIBRARY

INSTEAD = "sums are slow"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(cpp.Path, "home", lambda: tmp_path)
    monkeypatch.delenv(cpp.OFF, raising=False)
    return tmp_path


HANDLER = """
#include "xla/ffi/api/c_api.h"

extern "C" XLA_FFI_Error* sum_of_test(XLA_FFI_CallFrame* frame) {
  XLA_FFI_Extension_Base* asked = frame->extension_start;
  if (asked != nullptr && asked->type == XLA_FFI_Extension_Metadata) {
    auto* metadata = reinterpret_cast<XLA_FFI_Metadata_Extension*>(asked)->metadata;
    metadata->api_version.major_version = XLA_FFI_API_MAJOR;
    metadata->api_version.minor_version = XLA_FFI_API_MINOR;
  }
  return nullptr;
}
"""


@pytest.fixture
def source(tmp_path):
    """A library of one function, which says to XLA which version it speaks, and does nothing."""
    if not any(map(cpp.shutil.which, cpp.COMPILERS)):
        pytest.skip("no C++ compiler here")
    path = tmp_path / "sum.cc"
    path.write_text(f"// XLA takes a name once, so each test has its own: {tmp_path}{HANDLER}")
    return path


def load(source, functions=("sum_of_test",)):
    return Library(source, functions, INSTEAD).load()


def test_the_library_of_this_project_is_used_where_there_is_a_compiler():
    assert LIBRARY.load() == any(map(cpp.shutil.which, cpp.COMPILERS))


def test_what_was_compiled_is_kept_and_another_source_is_not_taken_for_it(source, home, capsys):
    assert load(source)
    assert "compiling sum.cc for this processor, once" in capsys.readouterr().err
    assert load(source)
    assert capsys.readouterr().err == ""
    first = Library(source, ("sum_of_test",), INSTEAD).target("sum_of_test")
    source.write_text(source.read_text() + "// changed\n")
    assert load(source)
    assert Library(source, ("sum_of_test",), INSTEAD).target("sum_of_test") != first
    kept = list((home / ".cache" / "deps_jax" / "cpp").iterdir())
    assert sorted(path.suffix for path in kept) == [".so", ".so"]


def test_a_damaged_library_is_compiled_again(source, capsys):
    library = Library(source, ("sum_of_test",), INSTEAD)
    kept = library._compiled(cpp.shutil.which("c++"))
    kept.write_bytes(b"half of a library")
    capsys.readouterr()
    assert library.load()
    assert "compiling" in capsys.readouterr().err and kept.stat().st_size > 1000


def test_without_a_compiler_it_is_said_what_happens(source, monkeypatch, capsys):
    monkeypatch.setattr(cpp.shutil, "which", lambda _: None)
    library = Library(source, ("sum_of_test",), INSTEAD)
    assert not library.load() and not library.load()
    assert capsys.readouterr().err == (
        "there is no C++ compiler (c++, g++, clang++); install one; until then sums are slow\n")


def test_a_source_that_does_not_compile_is_named_with_the_compilers_words(source, home, capsys):
    source.write_text("#error no such processor\n")
    assert not load(source)
    error = capsys.readouterr().err
    assert "did not compile sum.cc" in error and "no such processor" in error
    assert INSTEAD in error and not list((home / ".cache" / "deps_jax" / "cpp").iterdir())


def test_a_library_that_lacks_the_function_is_not_used(source, capsys):
    assert not load(source, ("another",))
    assert "sum.cc cannot be used" in capsys.readouterr().err


def test_a_compiler_that_does_not_end_is_given_up(source, monkeypatch, capsys):
    def late(*_, **__):
        raise subprocess.TimeoutExpired("c++", 300)

    monkeypatch.setattr(cpp, "_compile", late)
    assert not load(source)
    assert "timed out" in capsys.readouterr().err


def test_where_nothing_can_be_kept_it_is_compiled_for_this_process(source, home, capsys):
    (home / ".cache").write_text("a file where a folder should be")
    assert load(source)
    assert "compiling" in capsys.readouterr().err


def test_the_environment_can_turn_it_off(source, monkeypatch, capsys):
    monkeypatch.setenv(cpp.OFF, "1")
    assert not load(source)
    assert capsys.readouterr().err == ""
