"""A fixture that runs a test with functions in C++ and with those of XLA in their place."""
import pytest


def forms(library):
    """The fixture for the functions of a `Library`."""
    @pytest.fixture(params=["C++", "XLA"])
    def form(request, monkeypatch):
        if request.param == "XLA":
            monkeypatch.setattr(library, "is_loaded", False)
        elif not library.load():
            pytest.skip("no C++ compiler here")

    return form
