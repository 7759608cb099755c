"""A method of one's own is found by its module, and anything else is refused with the reason."""

import sys

import pytest

from kdviz.methods import FGFI, Method, method_named

FILE = """
from kdviz.methods import FGFI

class Mine(FGFI):
    pass

loose = 3
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "my_kd").mkdir()
    (tmp_path / "my_kd" / "my_file.py").write_text(FILE)
    yield
    for name in [name for name in sys.modules if name.startswith("my_kd")]:
        del sys.modules[name]


def test_a_class_in_this_folder(here):
    kind = method_named("my_kd.my_file:Mine")
    assert issubclass(kind, FGFI)
    assert kind.__name__ == "Mine"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_kd.other:Mine", r"my_kd\.other:Mine' cannot be imported from .*No module named"),
        ("my_kd.my_file:Yours", r"is None, not a subclass of kdviz\.methods\.Method"),
        ("my_kd.my_file:loose", r"is 3, not a subclass"),
        ("my_kd.my_file:", "not a subclass"),
        ("mine", r"no method 'mine'; there are .*package\.module:Class"),
    ],
)
def test_what_is_none(here, name, message):
    with pytest.raises(ValueError, match=message):
        method_named(name)


def test_our_own_need_no_module():
    assert issubclass(method_named("gkd"), Method)
