"""Where the files live that ARES hands on: the C runtime and the templates of generated projects.

In a checkout, and so in an editable install, the runtime is the top-level folder `runtime/`. A wheel
carries the same files as `ares/_runtime/` (pyproject.toml, `force-include`). Templates are package
data in both. A folder counts only when it holds the file that ARES cannot do without, so that an
unrelated folder named `runtime` beside an installed package is never taken for ours.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_RUNTIME_MARKER = Path("inc", "layer_descriptors.h")


class ResourceError(RuntimeError):
    """Files that belong to ARES itself are missing, or there is no current folder; never a user's model."""


def runtime_dir() -> Path:
    """Return the folder of the C runtime, with `inc/` and `src/` in it."""
    candidates = (_PACKAGE / "_runtime", _PACKAGE.parent / "runtime")
    return _first_with(_RUNTIME_MARKER, candidates, "the C runtime")


def templates_dir() -> Path:
    """Return the folder of the jinja2 templates."""
    return _first_with(
        Path(), (_PACKAGE / "emit" / "templates",), "the templates of generated projects"
    )


def checker_file() -> Path:
    """Return the program that re-checks certificates; it needs nothing of ARES."""
    name = Path("check_certificate.py")
    candidates = (_PACKAGE / "_tools", _PACKAGE.parent / "tools")
    return _first_with(name, candidates, "the checker of certificates") / name


def _first_with(marker: Path, candidates: tuple[Path, ...], what: str) -> Path:
    for folder in candidates:
        if (folder / marker).exists():
            return folder
    places = " nor ".join(str(folder / marker) for folder in candidates)
    raise ResourceError(
        f"{what} is not part of this installation of ARES: found neither {places}. "
        "Install ARES again from a wheel, or with `pip install -e .` in a complete checkout."
    )


def current_dir() -> Path:
    """Return the current folder. One that was deleted is refused here: libraries end the process over it."""
    try:
        return Path.cwd()
    except OSError as error:
        raise ResourceError(
            f"the current folder cannot be used: {error.strerror}; change to one that is there"
        ) from error


def checkout_dir() -> Path:
    """Return the root of the checkout that holds the zoo: this one, or the one around the current folder."""
    marker = Path("tests", "test_networks")
    here = current_dir()
    candidates = (_PACKAGE.parent, here, *here.parents)
    for folder in candidates:
        if (folder / marker).is_dir() and (folder / "golden").is_dir():
            return folder
    raise ResourceError(
        "the networks of the zoo are part of the source code, not of the installed package; "
        "run this inside a checkout of ARES"
    )
