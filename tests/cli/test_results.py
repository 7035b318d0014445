"""Files of results: through links, into pipes, to stdout; what cannot be written is said before the run."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

from ares.cli.output import require_writable, write_text
from tests.checker.models import model_source
from tests.cli.commands import ares, shell
from tests.slow import one_in, slow_but

TELLING = "print('imported')\n" + model_source()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(TELLING)
    return tmp_path


CHECK = ("check", "--model-file", "net.py", "--json-out")


# --- links, rights, pipes


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "result.json", tmp_path / "link.json"
    target.write_text("old")
    link.symlink_to("far/result.json")
    write_text(link, "new")
    assert os.readlink(link) == "far/result.json"
    assert target.read_text() == "new"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["far", "link.json", "result.json"]


def test_a_link_to_nothing_yet_makes_what_it_points_to(tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "result.json")
    require_writable(link)
    write_text(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "result.json").read_text() == "new"


def test_a_file_keeps_its_rights_and_a_new_one_has_those_of_the_mask(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("")
    old.chmod(0o640)
    before = os.umask(0o027)
    try:
        write_text(old, "x")
        write_text(new, "x")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (old, new)] == [0o640, 0o640]


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE) as reader:
        require_writable(tmp_path / "pipe")
        write_text(tmp_path / "pipe", "new")
        assert reader.stdout is not None
        assert reader.stdout.read() == b"new"
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def _refused(capsys: pytest.CaptureFixture[str], *paths: Path) -> str:
    with pytest.raises(typer.Exit) as stopped:
        require_writable(*paths)
    assert stopped.value.exit_code == 2
    return capsys.readouterr().err


def test_what_a_link_leads_to_is_what_must_be_writable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lost").symlink_to(tmp_path / "absent" / "file")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "folder").symlink_to(tmp_path)
    assert "absent is no folder" in _refused(capsys, tmp_path / "lost")
    assert "it is a folder" in _refused(capsys, tmp_path / "folder")
    with pytest.raises(typer.Exit):
        write_text(tmp_path / "loop" / "file", "x")
    assert capsys.readouterr().err.count("\n") == 1


# --- before the run


@pytest.mark.parametrize("command", ["check", "verify"])
@pytest.mark.parametrize("out", slow_but([0], ["nodir/x.json", "."]))
def test_what_cannot_be_written_is_said_before_the_run(
    command: str, out: str, folder: Path
) -> None:
    done = ares(command, "--model-file", "net.py", "--json-out", out, cwd=folder)
    assert done.returncode == 2
    assert done.stderr.startswith(f"ares: cannot write {out}: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""  # the model was not even imported


# --- stdout


def parsed(text: str) -> Any:
    assert text.endswith("}\n")
    return json.loads(text)


@pytest.mark.parametrize("name", slow_but([0], ["-", "/dev/stdout"]))
def test_dash_is_stdout_and_people_read_stderr(name: str, folder: Path) -> None:
    done = ares(*CHECK, name, cwd=folder)
    assert done.returncode == 0
    assert parsed(done.stdout)["compatible"] is True
    # What the model prints would break it.
    assert done.stderr.startswith("imported\nnet: Model, inputs")
    assert done.stderr.splitlines()[-1].startswith("compatible: ")
    assert not (folder / "-").exists()


def test_stdout_that_is_a_file_holds_the_result_alone(folder: Path) -> None:
    """Opened by its name, it would be written over."""
    done = shell('"$@" > out.json', *CHECK, "/dev/stdout", cwd=folder)
    assert (done.returncode, done.stdout) == (0, "")
    assert parsed((folder / "out.json").read_text())["compatible"] is True


@pytest.mark.slow
def test_a_graph_goes_to_stdout_byte_for_byte(tmp_path: Path) -> None:
    words = ("extract", "--test-network", "test_3", "--output")
    assert ares(*words, "file", cwd=tmp_path).returncode == 0
    done = shell('"$@" > piped', *words, "-", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr.startswith("-: test_3_mlp, ")
    assert (tmp_path / "piped").read_bytes() == (tmp_path / "file").read_bytes() != b""


def test_two_results_do_not_share_stdout(folder: Path) -> None:
    words = ("verify", "--model-file", "net.py", "--json-out", "-", "--junit-out", "/dev/stdout")
    done = ares(*words, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "ares: only one result can be written to stdout\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is not there")
def test_a_result_that_stdout_cannot_take(folder: Path) -> None:
    done = shell('"$@" > /dev/full', *CHECK, "-", cwd=folder)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "ares: cannot write to stdout: No space left on device"
    assert "Traceback" not in done.stderr


# --- long words


@pytest.mark.parametrize(
    "shape", one_in(4, ["9" * 5000, f"1,{'9' * 5000}", "1x" * 4000 + "1", "0" * 5000])
)
def test_a_long_shape_is_one_short_line(shape: str, folder: Path) -> None:
    done = ares("check", "--model-file", "net.py", "--input-shape", shape, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("ares: --input-shape ")
    assert done.stderr.count("\n") == 1
    assert len(done.stderr) < 250
