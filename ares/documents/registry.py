"""The generated files, from a sorted scan of `pages/`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ares.documents import pages


@dataclass(frozen=True, slots=True)
class Page:
    """A module of `pages/`: its name, and what it holds."""

    name: str
    path: str
    content: Callable[[Path, str], str]


def generated() -> tuple[Page, ...]:
    """Every page, in the order of the modules' names."""
    found = []
    for name in sorted(module.name for module in pkgutil.iter_modules(pages.__path__)):
        module = importlib.import_module(f"{pages.__name__}.{name}")
        found.append(Page(name, module.PATH, module.content))
    return tuple(found)


def outdated(root: Path) -> dict[str, str]:
    """Path -> new content, for every generated file of the checkout `root` that is not up to date."""
    changes = {}
    for page in generated():
        file = root / page.path
        current = file.read_text(encoding="utf-8") if file.exists() else ""
        new = page.content(root, current)
        if new != current:
            changes[page.path] = new
    return changes
