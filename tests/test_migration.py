"""docs/migration.md: what it calls refused is refused with the quoted advice, what it offers instead passes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.examples.commands import try_line
from tests.slow import one_in

PAGE = Path(__file__).resolve().parents[1] / "docs" / "migration.md"
SPECIFIED = (
    "BatchNorm2d, BatchNorm1d",
    "Dropout",
    "nn.MultiheadAttention",
    "Implicit residual: x + y",
    "Implicit concatenation: torch.cat([...])",
    "ConvTranspose, Upsample, PixelShuffle",
    "Dilated convolution",
)

_BLOCK = re.compile(r"^```python\n# (\w+)(?:: ([\d,]+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_QUOTE = re.compile(r"\s*> (.+)")


@dataclass(frozen=True, slots=True)
class Block:
    """One example; `advice` is the quotation behind it, "" where there is none."""

    title: str
    number: int
    kind: str
    shape: str
    code: str
    advice: str

    @property
    def name(self) -> str:
        words = re.sub(r"\W+", "_", self.title).strip("_")
        return f"{words}-{self.number}-{self.kind}"


def blocks() -> list[Block]:
    found = []
    for section in re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE):
        for number, match in enumerate(_BLOCK.finditer(section)):
            quote = _QUOTE.match(section[match.end() :])
            title = section.partition("\n")[0]
            kind, shape, code = match.groups()
            found.append(Block(title, number, kind, shape or "", code, quote[1] if quote else ""))
    return found


BLOCKS = blocks()
(IMPORTS,) = (block.code for block in BLOCKS if block.kind == "imports")
EXAMPLES = [block for block in BLOCKS if block.kind != "imports"]


def test_every_block_is_an_example() -> None:
    assert len(BLOCKS) == PAGE.read_text().count("```python")
    assert {block.kind for block in EXAMPLES} == {"refused", "accepted", "after"}
    for block in EXAMPLES:
        assert block.shape, block.name
        assert bool(block.advice) or block.kind != "refused", block.name


def test_every_row_of_the_specification_has_both() -> None:
    titles = list(dict.fromkeys(block.title for block in EXAMPLES))
    assert titles[: len(SPECIFIED)] == list(SPECIFIED)
    for title in titles:
        kinds = [block.kind for block in EXAMPLES if block.title == title]
        assert kinds[0] in ("refused", "accepted")
        assert "after" in kinds or (title not in SPECIFIED and "refused" not in kinds)


@pytest.mark.parametrize("block", one_in(3, EXAMPLES), ids=lambda block: block.name)
def test_example(block: Block, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(f"{IMPORTS}\n\n{block.code}")
    line = f"ares check --model-file model.py --input-shape {block.shape} --json-out report.json"
    code, printed = try_line(line, tmp_path)
    findings = json.loads((tmp_path / "report.json").read_text())["findings"]
    errors = [found for found in findings if found["status"] == "error"]
    if block.kind == "refused":
        assert code == 1
        assert [error["suggestion"] for error in errors] == [block.advice]
        return
    assert code == 0, printed
    if block.advice:
        warnings = {found["suggestion"] for found in findings if found["status"] == "warning"}
        assert block.advice in warnings
