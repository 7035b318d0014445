"""Loading a network's file: which model is chosen, and one clear line for everything that is wrong."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from ares.zoo.dimensions import Dimensions
from ares.zoo.network_file import NetworkFileError, load_model, load_network_file

NET = """
import torch
from torch import nn

class {name}(nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.fc = nn.Linear(width, 2)
    def forward(self, x):
        return self.fc(x)
"""
INPUTS = """
def example_inputs(sample=0):
    return (torch.full((1, 3), float(sample)),)
"""


def write(path: Path, *parts: str) -> Path:
    path.write_text("".join(parts), encoding="utf-8", errors="surrogateescape")
    return path


def test_the_only_class(tmp_path: Path) -> None:
    network = load_network_file(write(tmp_path / "test_7_net.py", NET.format(name="Net"), INPUTS))
    assert (network.name, network.model_name, network.is_trained) == ("test_7_net", "Net", False)
    assert network.path == tmp_path / "test_7_net.py"
    assert dict(network.vacuity) == {}
    assert type(network.create_model()).__name__ == "Net"
    assert torch.equal(network.example_inputs(5)[0], torch.full((1, 3), 5.0))


def test_imported_and_renamed_classes_do_not_count(tmp_path: Path) -> None:
    extra = "from torch.nn import Conv2d\nAlias = Net\n"
    assert (
        load_network_file(write(tmp_path / "n.py", NET.format(name="Net"), extra)).model_name
        == "Net"
    )


def test_create_model_comes_before_classes_and_a_name_before_both(tmp_path: Path) -> None:
    two = NET.format(name="A") + NET.format(name="B")
    path = write(tmp_path / "n.py", two, "def create_model():\n    return A(width=5)\n")
    assert load_model(path).fc.in_features == 5
    assert type(load_model(path, "B")).__name__ == "B"


def test_init_kwargs(tmp_path: Path) -> None:
    path = write(tmp_path / "n.py", NET.format(name="Net"))
    assert load_model(path, init_kwargs={"width": 9}).fc.in_features == 9


def test_equal_names_do_not_clash(tmp_path: Path) -> None:
    """Same stem, same class, and a helper module of the same name beside each."""
    models = []
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        write(folder / "layers.py", f"NUMBER = {number}\n")
        text = NET.format(name="Net") + "import layers\nnumber = layers.NUMBER\n"
        models.append(load_network_file(write(folder / "net.py", text)))
    before = list(sys.path)
    first, second = (network.create_model() for network in models)
    assert type(first) is not type(second)
    assert [network.module.number for network in models] == [1, 2]
    assert sys.path == before
    assert "layers" not in sys.modules
    assert sys.modules[type(first).__module__] is models[0].module


def test_helpers_can_be_imported_late(tmp_path: Path) -> None:
    write(tmp_path / "parts.py", NET.format(name="Part"))
    path = write(
        tmp_path / "net.py", "def create_model():\n    import parts\n    return parts.Part()\n"
    )
    assert isinstance(load_model(path), nn.Module)


def test_initialise_is_counter_based_unless_the_file_has_its_own(tmp_path: Path) -> None:
    plain = load_network_file(write(tmp_path / "a.py", NET.format(name="Net")))
    first, second = plain.create_model(), plain.create_model()
    plain.initialise(first)
    plain.initialise(second)
    assert torch.equal(first.fc.weight, second.fc.weight)
    own = "def initialise(model):\n    model.fc.weight.data.fill_(0.25)\n"
    network = load_network_file(write(tmp_path / "b.py", NET.format(name="Net"), own))
    network.initialise(first)
    assert torch.equal(first.fc.weight, torch.full((2, 3), 0.25))


def test_vacuity(tmp_path: Path) -> None:
    text = NET.format(name="Net") + "VACUITY = {'fc': 'constant on purpose'}\n"
    assert load_network_file(write(tmp_path / "n.py", text)).vacuity["fc"] == "constant on purpose"


def test_promises(tmp_path: Path) -> None:
    """Size and accuracy; a file need promise neither."""
    plain = load_network_file(write(tmp_path / "a.py", NET.format(name="Net")))
    assert plain.dimensions() is None
    assert plain.least_accuracy() == 0.97
    text = "from ares.zoo.dimensions import Dimensions\nDIMENSIONS = Dimensions(((1, 3),), ((1, 2),), 6, 8)\n"
    full = load_network_file(
        write(tmp_path / "b.py", NET.format(name="Net"), text, "ACCURACY = 0.5\n")
    )
    assert full.dimensions() == Dimensions(((1, 3),), ((1, 2),), 6, 8)
    assert full.least_accuracy() == 0.5


def test_promises_of_the_wrong_kind(tmp_path: Path) -> None:
    """Nobody is refused for a name of their own; only who asks is told."""
    text = NET.format(name="Net") + "DIMENSIONS = (1, 2)\nACCURACY = '97 %'\n"
    network = load_network_file(write(tmp_path / "n.py", text))
    with pytest.raises(NetworkFileError, match="DIMENSIONS is a tuple, expected an "):
        network.dimensions()
    with pytest.raises(NetworkFileError, match="ACCURACY is a str, expected a float"):
        network.least_accuracy()


def error_of(path: Path, *arguments: object) -> str:
    with pytest.raises(NetworkFileError) as found:
        load_model(path, *arguments)
    message = str(found.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


BROKEN = {
    "syntax error": ("def f(:\n", None, "syntax error, line 1: invalid syntax"),
    "indentation": ("x = 1\n  y = 2\n", None, "syntax error, line 2: unexpected indent"),
    "null byte": ("x = 1\0", None, "source code string cannot contain null bytes"),
    "not text": ("x = '\udcff'\n", None, "syntax error, line 1: (unicode error)"),
    "missing import": ("import no_such_module\n", None, "cannot be imported: ModuleNotFoundError"),
    "raises": ("raise RuntimeError('two\\nlines')\n", None, "RuntimeError: two lines"),
    "exits": ("import sys\nsys.exit(3)\n", None, "cannot be imported: SystemExit: 3"),
    "no class": ("x = 1\n", None, "defines no nn.Module class; expected one"),
    "several": (
        NET.format(name="A") + NET.format(name="B"),
        None,
        "defines 2 nn.Module classes and none was named; name one of A, B, or define create_model()",
    ),
    "unknown": (NET.format(name="A"), "C", "no class named C; it defines A"),
    "no model class": (NET.format(name="A") + "C = 5\n", "C", "C is not an nn.Module class"),
    "constructor": (
        NET.format(name="A").replace("width=3", "width"),
        None,
        "A() cannot be constructed: TypeError: A.__init__() missing 1 required positional argument: "
        "'width'; its signature is A(width)",
    ),
    "create_model": ("def create_model():\n    return 5\n", None, "create_model() returned an int"),
    "vacuity": (NET.format(name="A") + "VACUITY = ['A']\n", None, "VACUITY must be a dict"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_one_line_for_what_is_wrong(case: str, tmp_path: Path) -> None:
    text, class_name, message = BROKEN[case]
    modules = set(sys.modules)
    assert message in error_of(write(tmp_path / "net.py", text), class_name)
    if message.startswith(("syntax", "cannot")):
        assert set(sys.modules) == modules


def test_missing_file_and_directory(tmp_path: Path) -> None:
    assert error_of(tmp_path / "none.py") == "no such file, expected a Python file"
    assert error_of(tmp_path) == "is a directory, expected a Python file"


def test_wrong_init_kwargs(tmp_path: Path) -> None:
    path = write(tmp_path / "n.py", NET.format(name="Net"))
    assert "Net(depth=2) cannot be constructed: TypeError" in error_of(path, None, {"depth": 2})


def test_example_inputs_of_the_wrong_kind(tmp_path: Path) -> None:
    text = NET.format(name="Net")
    none = load_network_file(write(tmp_path / "a.py", text))
    assert not none.has_example_inputs
    with pytest.raises(NetworkFileError, match="defines no example_inputs"):
        none.example_inputs()
    wrong = load_network_file(
        write(tmp_path / "b.py", text, "def example_inputs():\n    return 5\n")
    )
    with pytest.raises(NetworkFileError, match="returned an int, expected a tuple of tensors"):
        wrong.example_inputs()
    failing = load_network_file(
        write(tmp_path / "c.py", text, "def example_inputs():\n    1 / 0\n")
    )
    with pytest.raises(NetworkFileError, match="failed: ZeroDivisionError"):
        failing.example_inputs()
