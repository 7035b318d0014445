"""The wheel is complete: an installed ARES finds its runtime and templates without a checkout."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from ares import resources

ROOT = Path(__file__).resolve().parent.parent


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_wheel_carries_runtime_and_templates(tmp_path: Path) -> None:
    build = [
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "-t",
        "wheel",
        "-d",
        str(tmp_path / "dist"),
    ]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    assert _files(tmp_path / "site/ares/_runtime") == _files(ROOT / "runtime")
    assert _files(tmp_path / "site/ares/emit/templates") == _files(ROOT / "ares/emit/templates")

    code = "import ares.resources as r; print(r.__file__, r.runtime_dir(), r.templates_dir(), sep='\\n')"
    found = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); {code}"],
        check=True, capture_output=True, text=True, timeout=60, cwd=tmp_path,
    ).stdout.splitlines()  # fmt: skip
    assert found == [
        str(tmp_path / "site/ares/resources.py"),
        str(tmp_path / "site/ares/_runtime"),
        str(tmp_path / "site/ares/emit/templates"),
    ]


def test_checkout_is_found() -> None:
    assert resources.runtime_dir() == ROOT / "runtime"
    assert resources.templates_dir() == ROOT / "ares/emit/templates"


def test_missing_runtime_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runtime").mkdir()  # somebody else's folder of that name
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "ares")
    with pytest.raises(
        resources.ResourceError, match="the C runtime is not part of this installation"
    ):
        resources.runtime_dir()
    with pytest.raises(resources.ResourceError, match="the templates of generated projects"):
        resources.templates_dir()
