"""Every exported name says shapes and quantisers, and the examples in the docstrings run."""

from __future__ import annotations

import doctest
import inspect
import io
import re
import warnings
from typing import Any

import pytest
import torch
from torch import nn

import ares.nn

OWN = sorted(
    name
    for name in ares.nn.__all__
    if "ares.nn" in getattr(getattr(ares.nn, name), "__module__", "")
)
FOREIGN = sorted(set(ares.nn.__all__) - set(OWN) - {"DEFAULT_BIT_WIDTH"})
ABOUT_NO_TENSOR = {"MappingError", "check_compatibility"}


def parts() -> list[str]:
    """Names with a docstring of their own; PatchEmbed is another name of one."""
    return [name for name in OWN if getattr(ares.nn, name).__name__ == name]


@pytest.mark.parametrize("name", parts())
def test_docstring(name: str) -> None:
    thing = getattr(ares.nn, name)
    text = thing.__doc__ or ""
    assert len(text.splitlines()[0]) > 30, "the first line says what it computes"
    prose = text.partition(">>>")[0]
    if name not in ABOUT_NO_TENSOR:
        assert re.search(r"\[B|\[\.\.\.|[Aa]ny shape|Shapes", prose), "shapes in and out"
        assert re.search(r"[Qq]uantiser|codes -2", prose), "where the quantisers sit"
    examples = doctest.DocTestParser().get_examples(text)
    assert 1 <= len(examples) <= 3


@pytest.mark.parametrize("name", parts())
def test_example(name: str) -> None:
    names: dict[str, Any] = {"torch": torch, "nn": nn, **vars(ares.nn)}
    text = inspect.getdoc(getattr(ares.nn, name)) or ""
    example = doctest.DocTestParser().get_doctest(text, names, name, None, 0)
    torch.manual_seed(0)
    report = io.StringIO()
    runner = doctest.DocTestRunner(verbose=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Brevitas; that ours warn of nothing is another test's
        failed, _ = runner.run(example, out=report.write)
    assert not failed, report.getvalue()


def test_what_is_handed_on_is_explained() -> None:
    """A row of the package's table for each class of Brevitas and torch."""
    table = "\n".join(
        line for line in (ares.nn.__doc__ or "").splitlines() if line.startswith("| `")
    )
    assert sorted(re.findall(r"`(\w+)`", table)) == FOREIGN
    assert {getattr(ares.nn, name).__module__.split(".")[0] for name in FOREIGN} == {
        "torch",
        "brevitas",
    }
