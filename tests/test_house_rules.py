"""`tools/house_rules.py` finds each planted breach, at its line, and nothing in innocent files."""

from pathlib import Path

import pytest

from tools.house_rules import breaches, main

# (rule, path, text, the 1-based line that is reported)
PLANTED = [
    ("tolerance", "tests/test_a.py", "import numpy as np\nnp.testing.assert_allclose(a, b)\n", 2),
    ("tolerance", "ares/verdict.py", "same = math.isclose(a, b)\n", 1),
    ("tolerance", "ares/verdict.py", "x = pytest.approx(1)\n", 1),
    ("tolerance", "tests/test_a.py", "check(a, b, atol=1)\n", 1),
    ("tolerance", "tools/a.py", "rtol = 0\n", 1),
    (
        "dataclass",
        "ares/ir/a.py",
        "from dataclasses import dataclass\n\n@dataclass(slots=True)\nclass A: ...\n",
        3,
    ),
    ("dataclass", "ares/ir/a.py", "@dataclass\nclass A: ...\n", 1),
    ("dataclass", "tests/a.py", "@dataclasses.dataclass(\n    frozen=False,\n)\nclass A: ...\n", 1),
    ("float", "runtime/src/conv2d.c", "int a;\nfloat b;\n", 2),
    (
        "float",
        "runtime/inc/conv2d.h",
        "/* the contract\n * in prose */\nstatic double f(int a);\n",
        3,
    ),
    ("float", "runtime/inc/numerics.h", "/* float */\nfloat a;\n", 2),
    ("print", "ares/plan/a.py", "def f() -> None:\n    print('x')\n", 2),
    ("print", "ares/pipeline.py", "console.print('x')\n", 1),
    ("python", "ares/a.py", "import sys\nrun([sys.executable, '-m', 'ziglang'])\n", 2),
    ("python", "tools/a.py", "words = (\n    sys.executable,\n    path,\n)\n", 1),
    ("python", "examples/a.py", "words = [sys.executable]\n", 1),
    ("python", "ares/a.py", "words = ('timeout', sys.executable, '-c', '-P')\n", 1),
    ("python", "ares/a.py", "line = f'{sys.executable} -m ziglang'\n", 1),
    ("process", "ares/pipeline/a.py", "import subprocess\n", 1),
    ("process", "tools/a.py", "\nfrom subprocess import run\n", 2),
    ("process", "ares/a.py", "def f():\n    os.system('ls')\n", 2),
    ("process", "ares/a.py", "os.execvp('ls', ['ls'])\n", 1),
    ("process", "ares/a.py", "from os import posix_spawn\n", 1),
    ("process", "ares/a.py", "import multiprocessing.pool\n", 1),
    ("process", "ares/a.py", "from concurrent.futures import ProcessPoolExecutor\n", 1),
    ("size", "ares/a.py", "x = 1\n" * 401, 401),
    ("size", "ares/a.py", "\ndef f():\n" + "    x = 1\n" * 60, 2),
    ("todo", "runtime/src/a.c", "int a; /* TODO */\n", 1),
    ("todo", "README.md", "# Title\n\nFIXME\n", 3),
    ("todo", "ares/emit/templates/main.c.j2", "{# XXX #}\n", 1),
]

INNOCENT = [
    ("ares/witness/forward.py", "x = torch.isclose(a, b, atol=eps)\n"),
    ("ares/witness.py", "x = torch.isclose(a, b, atol=eps)\n"),
    ("ares/ir/a.py", "@dataclass(frozen=True, slots=True)\nclass A: ...\n"),
    ("ares/ir/b.py", '"""An approximation; `@dataclass` and print() in prose."""\n'),
    ("ares/cli/networks.py", "print('x')\n"),
    ("tools/a.py", "print('x')\n"),
    ("docs/numerics.md", "A `float` is binary32; `allclose` has no place here.\n"),
    ("runtime/src/linear_fp32.c", "float a;\n"),
    ("runtime/inc/quantize_f32.h", "float a;\n"),
    (
        "runtime/src/conv2d.c",
        '/* no float */ // no double\nconst char *s = "float /*"; int floating;\n',
    ),
    ("ares/b.py", "nothing = []\n"),
    ("ares/b.py", "x = 1\n" * 400),
    ("ares/b.py", "def f():\n" + "    x = 1\n" * 59),
    ("tests/a.py", "def f():\n" + "    x = 1\n" * 400),
    ("ares/b.py", "words = (sys.executable, '-P', '-m', 'ziglang')\nme = sys.executable\n"),
    ("ares/b.py", "from concurrent.futures import ThreadPoolExecutor\nos.environ, os.getpid()\n"),
    ("tests/a.py", "import subprocess\nsubprocess.run([sys.executable, '-c', ''])\n"),
    ("ares/toolchain/process.py", "import subprocess\n"),
    ("ares/pipeline/workers.py", "import multiprocessing\n"),
    ("golden/net/manifest.json", '{"TODO": 1}\n'),
    (".tox/py/a.py", "TODO\n"),
]


def _plant(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(("rule", "path", "text", "line"), PLANTED)
def test_planted_breach_is_found(
    tmp_path: Path, rule: str, path: str, text: str, line: int
) -> None:
    _plant(tmp_path, path, text)
    assert [(b.path, b.line, b.rule) for b in breaches(tmp_path)] == [(path, line, rule)]


def test_innocent_files_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path, text in INNOCENT:
        _plant(tmp_path, path, text)
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == ""


def test_every_rule_is_planted() -> None:
    assert {rule for rule, *_ in PLANTED} == {
        *("tolerance", "dataclass", "float", "print", "python", "process", "size", "todo")
    }


def test_report_and_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _plant(tmp_path, "runtime/src/b.c", "int a;\n    float b;\n")
    _plant(tmp_path, "ares/a.py", "print(1)  # TODO\n")
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "ares/a.py:1: print: print(1)  # TODO",
        "ares/a.py:1: todo: print(1)  # TODO",
        "runtime/src/b.c:2: float: float b;",
    ]


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["a", "b"]) == 2
    assert capsys.readouterr().err.startswith("usage:")
