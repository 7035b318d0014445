"""stdout that is full, closed, or knows few characters: one line, silence, other characters; never a traceback."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.checker.models import model_source
from tests.cli.commands import ares, shell
from tests.slow import one_in, slow_but

UNBUFFERED = {"PYTHONUNBUFFERED": "1"}
BUFFERED = {"PYTHONUNBUFFERED": ""}
LISTS = [
    ("networks", "--list"),
    ("--help",),
    ("verify", "-h"),
    ("--version",),
    ("check", "--list-supported-types"),
]
FULL = Path("/dev/full")

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not on the PATH")


@pytest.mark.skipif(not FULL.exists(), reason="/dev/full is not there")
@pytest.mark.parametrize("words", LISTS, ids=" ".join)
@pytest.mark.parametrize(
    "environment", slow_but([0], [BUFFERED, UNBUFFERED]), ids=["buffered", "unbuffered"]
)
def test_a_full_disk_is_one_line(
    words: tuple[str, ...], environment: dict[str, str], tmp_path: Path
) -> None:
    done = shell('"$@" > /dev/full', *words, cwd=tmp_path, environment=environment)
    assert done.returncode == 2
    assert done.stderr == "ares: cannot write to stdout: No space left on device\n"


@pytest.mark.skipif(not FULL.exists(), reason="/dev/full is not there")
def test_a_full_disk_is_no_verdict(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(model_source())
    done = shell('"$@" > /dev/full', "check", "--model-file", "net.py", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "ares: cannot write to stdout: No space left on device\n"


@pytest.mark.skipif(not FULL.exists(), reason="/dev/full is not there")
def test_where_not_even_stderr_can_be_written_the_exit_code_is_left(tmp_path: Path) -> None:
    for script in ('"$@" > /dev/full 2> /dev/full', '"$@" 2> /dev/full'):
        assert shell(script, "networks", "nonesuch", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize("words", [*LISTS[:1], *LISTS[4:]], ids=" ".join)
@pytest.mark.parametrize(
    "environment", slow_but([0], [BUFFERED, UNBUFFERED]), ids=["buffered", "unbuffered"]
)
def test_a_closed_pipe_is_silent(
    words: tuple[str, ...], environment: dict[str, str], tmp_path: Path
) -> None:
    # The reader is gone before the first word is written.
    script = '{ sleep 0.1; "$@"; echo "code $?" >&2; } | true'
    done = shell(script, *words, cwd=tmp_path, environment=environment)
    assert (done.stdout, done.stderr) == ("", "code 141\n")


def test_a_pipe_that_is_read_to_its_first_line(tmp_path: Path) -> None:
    done = shell('"$@" | head -1', "networks", "--list", cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("test_1_simplecnn\n", "")


def test_no_stdout_at_all(tmp_path: Path) -> None:
    done = shell('"$@" >&-', "networks", "--list", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    one_in(
        4,
        [
            {"PYTHONIOENCODING": "ascii"},
            {"PYTHONIOENCODING": "ascii:strict"},
            {"PYTHONIOENCODING": "latin-1"},
            {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""},
        ],
    ),
    ids=lambda environment: " ".join(environment.values()),
)
def test_a_narrow_character_set_gets_escapes(environment: dict[str, str], tmp_path: Path) -> None:
    source = model_source().replace("class Model", "class 网络_ü")
    (tmp_path / "net.py").write_text(source, encoding="utf-8")
    words = ("check", "--model-file", "net.py")
    done = ares(*words, cwd=tmp_path, environment=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("net: \\u7f51\\u7edc_")
    plain = ares(*words, cwd=tmp_path, environment={"PYTHONIOENCODING": "utf-8"})
    assert plain.stdout.startswith("net: 网络_ü, ")
    # Nothing else is another.
    assert done.stdout.splitlines()[1:] == plain.stdout.splitlines()[1:]
