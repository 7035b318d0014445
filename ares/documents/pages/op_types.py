"""`runtime/inc/layer_descriptors.h`: the enumeration of all operations and composites, in a header of our own hand."""

from __future__ import annotations

import re
from pathlib import Path

from ares.ops import COMPOSITES, operations

PATH = "runtime/inc/layer_descriptors.h"


def content(_root: Path, current: str) -> str:
    """The header, with what stands between its two marks made anew."""
    names = sorted(
        {operation.OP_TYPE for operation in operations().values()}
        | {kind.op_type for kind in COMPOSITES}
    )
    body = "\n".join(f"    {name}," for name in names)
    return re.sub(
        r"(/\* begin generated \*/\n).*?(\n    /\* end generated \*/)",
        rf"\g<1>{body}\g<2>",
        current,
        flags=re.DOTALL,
    )
