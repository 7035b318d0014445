"""A network's file among its neighbours: relative imports make it a member of its package."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from torch import nn

from ares.zoo.network_file import NetworkFileError, load_model, load_network_file

LAYERS = """
from torch import nn

class W(nn.Module):
    number = {number}
    def forward(self, x):
        return x
"""
NET = """
from torch import nn
{imports}

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = W()
    def forward(self, x):
        return self.w(x)
"""


def tree(root: Path, files: dict[str, str]) -> Path:
    """Write the files; the path of the last one."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root / next(reversed(files))


def net(imports: str) -> str:
    return NET.format(imports=imports)


ONE = LAYERS.format(number=1)
TREES: dict[str, dict[str, str]] = {
    "package": {
        "pkg/__init__.py": "",
        "pkg/layers.py": ONE,
        "pkg/net.py": net("from .layers import W"),
    },
    "two levels": {
        "pkg/__init__.py": "",
        "pkg/common/__init__.py": "",
        "pkg/common/layers.py": ONE,
        "pkg/models/__init__.py": "",
        "pkg/models/net.py": net("from ..common.layers import W"),
    },
    "a neighbour reaches further than the file": {
        "pkg/__init__.py": "",
        "pkg/common.py": ONE,
        "pkg/models/__init__.py": "",
        "pkg/models/layers.py": "from ..common import W\n",
        "pkg/models/net.py": net("from .layers import W"),
    },
    "folder without __init__": {"models/layers.py": ONE, "models/net.py": net("from .layers import W")},
    "two folders without __init__": {
        "code/common/layers.py": ONE,
        "code/models/net.py": net("from ..common.layers import W"),
    },
    "folder without __init__ in a package": {
        "pkg/__init__.py": "W = None\n",
        "pkg/layers.py": ONE,
        "pkg/models/net.py": net("from ..layers import W"),
    },
    "the package imports the file": {
        "pkg/__init__.py": "from .net import Net\n",
        "pkg/layers.py": ONE,
        "pkg/net.py": net("from .layers import W"),
    },
    "by its own name as well": {
        "pkg/__init__.py": "",
        "pkg/base.py": "NUMBER = 1\n",
        "pkg/layers.py": "from pkg.base import NUMBER\n" + LAYERS.format(number="NUMBER"),
        "pkg/net.py": net("from .layers import W"),
    },
    "a neighbour as a script": {
        "pkg/__init__.py": "",
        "pkg/helper.py": "NUMBER = 1\n",
        "pkg/layers.py": "from helper import NUMBER\n" + LAYERS.format(number="NUMBER"),
        "pkg/net.py": net("from .layers import W"),
    },
    "names that are none": {
        "v1.0 beta/layers.py": ONE,
        "v1.0 beta/net-2.1.py": net("from .layers import W"),
    },
    "called like what is imported": {
        "torch/__init__.py": "",
        "torch/layers.py": ONE,
        "torch/net.py": net("from .layers import W"),
    },
    "only its own name": {
        "pkg/__init__.py": "",
        "pkg/layers.py": ONE,
        "pkg/net.py": net("from pkg.layers import W"),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in TREES if name != "called like what is imported"])
def test_neighbours(name: str, tmp_path: Path) -> None:
    path, before = tree(tmp_path, TREES[name]), list(sys.path)
    model = load_model(path)
    assert model.w.number == 1
    assert sys.path == before
    # Nothing is left under a name that the next network could find.
    left = {module.partition(".")[0] for module in sys.modules}
    assert not left & {"pkg", "layers", "helper", "base", "common", "net"}


def test_a_package_called_like_one_that_is_imported(tmp_path: Path) -> None:
    path = tree(tmp_path, TREES["called like what is imported"])
    assert load_model(path).w.number == 1
    assert issubclass(sys.modules["torch"].nn.Module, nn.Module)


def test_late_imports_find_the_same_neighbours(tmp_path: Path) -> None:
    late = net("from .layers import W") + (
        "    def forward(self, x):\n"
        "        from .layers import W as late\n"
        "        from .more import add\n"
        "        assert late is W\n"
        "        return add(x)\n"
        "def create_model():\n"
        "    from .layers import W as late\n"
        "    assert late is W\n"
        "    return Net()\n"
    )
    more = "def add(x):\n    return x + 1\n"
    path = tree(
        tmp_path, {"p/__init__.py": "", "p/layers.py": ONE, "p/more.py": more, "p/n.py": late}
    )
    assert load_model(path)(1) == 2


def test_packages_of_one_name_and_of_changed_files(tmp_path: Path) -> None:
    networks = []
    for number in (1, 2):
        files = {
            "p/__init__.py": "",
            "p/layers.py": LAYERS.format(number=number),
            "p/net.py": net("from .layers import W"),
        }
        networks.append(load_network_file(tree(tmp_path / str(number), files)))
    assert [network.create_model().w.number for network in networks] == [1, 2]
    tree(tmp_path / "1", {"p/layers.py": LAYERS.format(number=1000)})
    assert load_model(networks[0].path).w.number == 1000


BROKEN = {
    "missing": ({"p/__init__.py": "", "p/net.py": net("from .layers import W")}, "ModuleNotFoundError"),
    "syntax": (
        {"p/__init__.py": "", "p/layers.py": "def (", "p/net.py": net("from .layers import W")},
        "syntax error, line 1 of",
    ),
    "package": ({"p/__init__.py": "1 / 0", "p/net.py": net("from .layers import W")}, "ZeroDivisionError"),
    "beyond": (
        {"p/layers.py": "from ..common import W\n", "p/net.py": net("from .layers import W")},
        "beyond top-level package; put an __init__.py into each folder of its package",
    ),
    "above the root": ({"net.py": net("from " + "." * 99 + "layers import W")}, "cannot be imported"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_one_line_for_what_is_wrong(name: str, tmp_path: Path) -> None:
    files, message = BROKEN[name]
    path, modules, entries = tree(tmp_path, files), set(sys.modules), list(sys.path)
    with pytest.raises(NetworkFileError) as found:
        load_network_file(path)
    assert message in str(found.value)
    assert "\n" not in str(found.value)
    assert (set(sys.modules), sys.path) == (modules, entries)
