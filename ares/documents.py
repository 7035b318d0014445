"""The parts of the repository that are computed: the OpType enumeration and the tables in docs/.

Each is written between two marker lines, or is a whole file; `tools/generate_docs.py` writes them, its `--check`
and a test compare.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from ares.ops import operations


def op_type_enum(current: str) -> str:
    """runtime/inc/layer_descriptors.h with the enumeration of all operations."""
    names = sorted({operation.OP_TYPE for operation in operations().values()})
    body = "\n".join(f"    {name}," for name in names)
    return re.sub(
        r"(/\* begin generated \*/\n).*?(\n    /\* end generated \*/)",
        rf"\g<1>{body}\g<2>",
        current,
        flags=re.DOTALL,
    )


DOCUMENTS: Mapping[str, Callable[[str], str]] = {
    "runtime/inc/layer_descriptors.h": op_type_enum,
}
"""Path in the repository -> the function that makes its new content from its current one."""


def outdated(root: Path) -> dict[str, str]:
    """Path -> new content, for every generated file that is not up to date."""
    changes = {}
    for path, generate in DOCUMENTS.items():
        current = (root / path).read_text() if (root / path).exists() else ""
        new = generate(current)
        if new != current:
            changes[path] = new
    return changes
