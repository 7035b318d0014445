"""Exit code 2: one line on stderr that says what to do, whatever is wrong with the call or the file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.checker.models import MODEL, PRELUDE, model_source, refused, write
from tests.cli.outcome import Outcome

Check = Callable[..., Outcome]


@dataclass(frozen=True, slots=True)
class BadFile:
    """A file that holds no usable model, options beside --model-file, and words of the message."""

    name: str
    source: str
    options: tuple[str, ...]
    parts: tuple[str, ...]


ONE = model_source()
TWO = ONE.replace("class Model", "class First(nn.Module):\n    pass\n\n\nclass Second")
EXAMPLE = ONE.replace("{", "{{").replace("}", "}}").replace("torch.rand(1, 1, 8, 8)", "{}")
WIDTH = PRELUDE + MODEL.replace("(self):", "(self, width):")
BAD_FILES = [
    BadFile("syntax", PRELUDE + "class Model(:\n", (), ("line 8", "syntax error")),
    BadFile("unterminated", "x = '''\n", (), ("line 1", "syntax error")),
    BadFile("unknown_class", TWO, ("--model-class", "Frist"), ("no class named Frist", "First, Second")),
    BadFile("not_a_model", ONE, ("--model-class", "example_inputs"), ("not an nn.Module", "Model")),
    BadFile("several", TWO, (), ("2 nn.Module classes", "First, Second")),
    BadFile("none", PRELUDE, (), ("defines no nn.Module class",)),
    BadFile("import", "import no_such_module_of_ares\n", (), ("no_such_module_of_ares",)),
    BadFile("import_exits", "import sys\nsys.exit(0)\n", (), ("SystemExit",)),
    BadFile("constructor", model_source(["raise ValueError('no\\nluck')"]), (), ("ValueError: no luck",)),
    BadFile("constructor_exits", model_source(["raise SystemExit(0)"]), (), ("sys.exit(0)",)),
    BadFile("missing_argument", WIDTH.format(init="pass", body="pass"), (),
            ("width", "cannot be constructed")),
    BadFile("unexpected_argument", ONE, ("--init-kwarg", "width=3"), ("width", "cannot be constructed")),
    BadFile("forward", model_source(body=["raise KeyError('boom')"]), (), ("KeyError: 'boom'", "(1, 1, 8, 8)")),
    BadFile("forward_exits", model_source(body=["import sys; sys.exit(0)"]), (), ("sys.exit(0)",)),
    BadFile("example_inputs", EXAMPLE.format("1 / 0"), (), ("example_inputs() failed", "ZeroDivision")),
    BadFile("example_inputs_type", EXAMPLE.format("'a'"), (), ("expected a tuple of tensors",)),
    BadFile("example_inputs_scalar", EXAMPLE.format("torch.tensor(1.0)"), (), ("a batch",)),
    BadFile("example_inputs_nan", EXAMPLE.format("torch.full((1, 1, 8, 8), torch.nan)"), (),
            ("input 0: element [0, 0, 0, 0] is nan", "every value must be finite in float32")),
    BadFile("example_inputs_inf", EXAMPLE.format("torch.tensor([[[[0.0, -torch.inf]]]])"), (),
            ("input 0: element [0, 0, 0, 1] is -inf", "example_inputs() of the file")),
    BadFile("example_inputs_large", EXAMPLE.format("torch.full((1, 1, 8, 8), 1e300, dtype=torch.double)"), (),
            ("input 0: element [0, 0, 0, 0] is 1e+300", "finite in float32")),
    BadFile("example_inputs_empty", EXAMPLE.format("torch.rand(0, 1, 8, 8)"), (), ("a batch",)),
    BadFile("not_copyable", model_source(["import threading as t; self.lock = t.Lock()"]), (), ("cannot be copied",)),
    BadFile("wrong_channels", ONE, ("--input-shape", "1,3,8,8"), ("(1, 3, 8, 8)", "--input-shape", "conv")),
    BadFile("wrong_size", ONE, ("--input-shape", "1x1x9x9"), ("(1, 1, 9, 9)", "fc")),
    BadFile("too_many_inputs", ONE, ("--input-shape", "1,1,8,8", "--input-shape", "1,1,8,8"), ("positional",)),
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD_FILES, ids=lambda bad: bad.name)
def test_bad_file(bad: BadFile, tmp_path: Path, check: Check) -> None:
    path = write(tmp_path, bad.source, f"{bad.name}.py")
    outcome = check("--model-file", path, *bad.options)
    refused(outcome, *bad.parts)
    assert outcome.report == {}


BAD_CALLS = [
    ((), ("--model-file", "--test-network")),
    (("--model-file", "a.py", "--test-network", "test_1_simplecnn"), ("not both",)),
    (("--model-file", "no/such/model.py"), ("no/such/model.py", "no such file")),
    (("--model-file", "."), ("is a directory",)),
    (("--test-network", "test_1_simplecn"), ("test_1_simplecn", "nearest: test_1_simplecnn")),
    (("--test-network", "../test_networks/test_1_simplecnn"), ("no network named",)),
    (("--test-network", ""), ("no network named",)),
    (("--model-file", "a.py", "--init-kwarg", "width"), ("'width'", "K=V")),
    (("--model-file", "a.py", "--init-kwarg", "=3"), ("K=V",)),
    (("--model-file", "a.py", "--init-kwarg", "a b=3"), ("K=V",)),
    (("--model-file", "a.py", "--init-kwarg", "a=3", "--init-kwarg", "a=4"), ("a is given twice",)),
    *(
        (("--model-file", "a.py", "--input-shape", text), ("is not a shape", "1,1,28,28"))
        for text in (
            "",
            "a",
            "1,,2",
            "1,1x28",
            "0,1",
            "-1,3",
            "1.5,2",
            "1,",
            "1,0,2",
            "(1,2",
            "1e3",
            "()",
        )
    ),
    (("--model-file", "a.py", "--input-shape", "1,99999,99999"), ("elements",)),
    (("--no-such-option",), ("--no-such-option",)),
    (("--model-file",), ("--model-file",)),
    (("stray",), ("stray",)),
]


@pytest.mark.parametrize(("arguments", "parts"), BAD_CALLS, ids=lambda value: " ".join(value)[:50])
def test_bad_call(arguments: tuple[str, ...], parts: tuple[str, ...], check: Check) -> None:
    refused(check(*arguments), *parts)


def test_json_that_cannot_be_written(tmp_path: Path, check: Check) -> None:
    path = write(tmp_path, ONE)
    folder = tmp_path / "folder"
    folder.mkdir()
    before = sorted(os.listdir(tmp_path))
    for target in (tmp_path / "absent" / "report.json", folder):
        refused(check("--model-file", path, "--json-out", target), str(target), "cannot write")
    assert sorted(os.listdir(tmp_path)) == sorted(
        {*before, "__pycache__"} & set(os.listdir(tmp_path))
    )
    assert os.listdir(folder) == []


def test_class_that_is_named(tmp_path: Path, check: Check) -> None:
    assert check("--model-file", write(tmp_path, TWO), "--model-class", "Second").code == 0


def test_what_the_file_prints_is_left_alone(tmp_path: Path, check: Check) -> None:
    outcome = check("--model-file", write(tmp_path, "print('hello')\n" + ONE))
    assert outcome.code == 0
    assert outcome.out.startswith("hello\n")


def test_warnings_of_the_file_are_silent(tmp_path: Path, check: Check) -> None:
    noisy = "import warnings\nwarnings.warn('deprecated')\n" + ONE
    outcome = check("--model-file", write(tmp_path, noisy))
    assert (outcome.code, outcome.err) == (0, "")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("width=3", 3),
        ("width=-0.5", -0.5),
        ("width=(1, 2)", (1, 2)),
        ("width=None", None),
        ("width=True", True),
        ("width='a'", "a"),
        ("width=relu", "relu"),
        ("width=a=b", "a=b"),
        ("width=", ""),
        ("width=__import__('os')", "__import__('os')"),
    ],
)
def test_init_kwarg_is_a_literal_or_a_string(
    text: str, value: object, tmp_path: Path, check: Check
) -> None:
    # The constructor says what it was given by refusing it.
    source = WIDTH.format(init="raise ValueError(f'given {width!r}')", body="pass")
    outcome = check("--model-file", write(tmp_path, source), "--init-kwarg", text)
    refused(outcome, f"given {value!r}")
