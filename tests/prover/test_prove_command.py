"""`ares prove`: words and exit codes."""

from pathlib import Path
from typing import Any

import pytest

from ares.cli.prove import prove_command


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name one model"),
        (("test_4", "--model-file", "x.py"), "name one model"),
        (("no_such_network",), "no network named 'no_such_network'"),
        (("test_3", "--target", "m4-gcc-O2"), "a board reads no files"),
        (("test_3", "--target", "no-such-target"), "no-such-target"),
        (("test_3", "--out", "tests"), "tests is there already and not empty"),
        (("--model-file", "no_such_file.py"), "no_such_file.py"),
    ],
)
def test_what_cannot_be_proven(run: Any, words: tuple[str, ...], said: str) -> None:
    result = run(prove_command, *words)
    assert result.code == 2
    assert said in result.err


def test_a_network_of_the_zoo(run: Any, tmp_path: Path) -> None:
    folder = tmp_path / "certificate"
    result = run(prove_command, "test_3", "--target", "gcc-O2", "--out", folder)
    assert result.code == 0, result.err
    assert "every input" in result.out
    assert (folder / "certificate.json").is_file()
    assert (folder / "probe.c").is_file()
