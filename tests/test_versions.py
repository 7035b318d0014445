"""The versions that ARES works with: one range, said alike to pip and to whoever went past it."""

import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from ares.versions import (
    SUPPORTED,
    UnsupportedVersionError,
    Version,
    require_supported_versions,
    requirement,
)

ROOT = Path(__file__).resolve().parent.parent
DEPENDENCIES: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
    "dependencies"
]


def pins(name: str) -> dict[str, str]:
    """Package, in lower case -> its exact version in a constraints file."""
    lines = (ROOT / name).read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {package.lower(): version for package, version in pairs}


def release(version: str) -> Version:
    return tuple(int(number) for number in version.split("."))


@pytest.mark.parametrize("package", SUPPORTED)
def test_pip_keeps_to_the_same_range(package: str) -> None:
    assert requirement(package) in DEPENDENCIES


@pytest.mark.parametrize("dependency", DEPENDENCIES)
def test_the_oldest_set_is_the_lower_bounds(dependency: str) -> None:
    match = re.match(r"([\w-]+)>=(\d+(?:\.\d+)?)", dependency)
    assert match is not None
    package, bound = match.groups()
    pin, low = release(pins("constraints-oldest.txt")[package]), release(bound)
    assert pin == (*low, *[0] * (len(pin) - len(low)))


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-newest.txt"])
@pytest.mark.parametrize("package", SUPPORTED)
def test_the_other_sets_are_inside(name: str, package: str) -> None:
    low, high = SUPPORTED[package]
    assert low < release(pins(name)[package]) < high


# What is installed (None: nothing) -> whether ARES works with it.
VERSIONS: list[tuple[str, str | None, bool]] = [
    ("torch", "2.4.0", True),
    ("torch", "2.4.1+cpu", True),
    ("torch", "2.15.0", True),
    ("torch", "2.16.0a0+git1234567", True),
    ("torch", "2.3.1", False),
    ("torch", "1.13.1", False),
    ("torch", "3.0.0", False),
    ("torch", None, False),
    ("torch", "nightly", False),
    ("brevitas", "0.12.0", True),
    ("brevitas", "0.13.4", True),
    ("brevitas", "0.11.0", False),
    ("brevitas", "0.14.0", False),
    ("brevitas", "1.0.0", False),
    ("numpy", "1.26.0", True),
    ("numpy", "2.4.6", True),
    ("numpy", "1.25.2", False),
    ("numpy", "3.0.0", False),
]


def installed(monkeypatch: pytest.MonkeyPatch, **changed: str | None) -> None:
    """Have `importlib.metadata` find these packages in these versions, the others as they are."""
    really = metadata.version

    def version(package: str) -> str:
        found = changed[package] if package in changed else really(package)
        if found is None:
            raise metadata.PackageNotFoundError(package)
        return found

    monkeypatch.setattr(metadata, "version", version)


@pytest.mark.parametrize(("package", "version", "works"), VERSIONS)
def test_range(
    package: str, version: str | None, works: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = {"brevitas": "0.13.4", "numpy": "2.0.0", "torch": "2.10.0"}
    installed(monkeypatch, **{**usual, package: version})
    if works:
        require_supported_versions()
        return
    with pytest.raises(UnsupportedVersionError) as caught:
        require_supported_versions()
    found = f"{package} {version or '(missing)'}"
    advice = f'pip install "{requirement(package)}"'
    assert str(caught.value) == f"ARES does not work with {found} that is installed here: {advice}"


def test_everything_that_is_wrong_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, torch="2.3.1", brevitas="0.14.0")
    with pytest.raises(UnsupportedVersionError) as caught:
        require_supported_versions()
    assert str(caught.value) == (
        "ARES does not work with brevitas 0.14.0 and torch 2.3.1 that is installed here: "
        'pip install "brevitas>=0.12,<0.14" "torch>=2.4,<3"'
    )


# What pip lets be installed together or not, but people do.
PAIRS: list[tuple[str, str, str]] = [
    ("0.12.0", "2.12.1", ""),
    ("0.12.1", "2.13.0+cpu", 'pip install "torch>=2.4,<2.13"'),
    ("0.13.0", "2.15.0", 'pip install "torch>=2.4,<2.13"'),
    ("0.13.1", "2.13.0", ""),
    ("0.13.2", "2.14.1", 'pip install "torch>=2.4,<2.14"'),
    ("0.13.3", "2.15.0", ""),
    ("0.13.4", "2.4.0", ""),
]


@pytest.mark.parametrize(("brevitas", "torch", "advice"), PAIRS)
def test_brevitas_and_torch_go_together(
    brevitas: str, torch: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, brevitas=brevitas, torch=torch)
    if not advice:
        require_supported_versions()
        return
    with pytest.raises(UnsupportedVersionError) as caught:
        require_supported_versions()
    assert str(caught.value) == (
        f"brevitas {brevitas} does not work with torch {torch}: "
        f'pip install "brevitas>=0.13.3,<0.14", or {advice}'
    )


# How people start it -> the end of what they then read.
STARTS = {
    "the command": ("import ares.cli; ares.cli.main()", "ares: "),
    "a function": ("import ares; ares.check(None)", "UnsupportedVersionError: "),
    "the layers": ("import ares.nn", "UnsupportedVersionError: "),
}


@pytest.mark.parametrize("name", STARTS)
def test_before_anything_of_torch_is_imported(name: str, tmp_path: Path) -> None:
    code, start = STARTS[name]
    found = tmp_path / "torch-2.3.1.dist-info"
    found.mkdir()
    (found / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.3.1\n")
    (tmp_path / "torch.py").write_text("raise AssertionError('torch was imported')\n")
    (tmp_path / "model.py").write_text("")
    done = subprocess.run(
        [sys.executable, "-c", code, "check", "--model-file", "model.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == (2 if name == "the command" else 1), done.stderr
    line = 'ARES does not work with torch 2.3.1 that is installed here: pip install "torch>=2.4,<3"'
    assert done.stderr.splitlines()[-1].endswith(start + line)
    assert done.stdout == ""
    if name == "the command":
        assert done.stderr == f"ares: {line}\n"


def test_the_end_of_a_command_is_silent(tmp_path: Path) -> None:
    """torch for CUDA brings bindings that list on stderr what they think is leaked."""
    (tmp_path / "model.py").write_text(
        "import brevitas.nn as qnn, torch\n"
        "def create_model():\n"
        "    model = qnn.QuantIdentity(return_quant_tensor=True)\n"
        "    model(torch.ones(1, 4))\n"
        "    return model.eval()\n"
        "def example_inputs():\n"
        "    return torch.ones(1, 4)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", STARTS["the command"][0], "check", "--model-file", "model.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "leaked" not in done.stderr
