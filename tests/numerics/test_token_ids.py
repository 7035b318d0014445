"""N17: ids name rows, and every element of a table can be addressed with int32."""

from __future__ import annotations

import numpy as np
import pytest

from ares.ir import GraphError, frozen_array
from ares.ops import Site
from ares.ops.embedding import Embedding
from tests.ops.harness import codes


def test_tables_end_below_two_to_the_31() -> None:
    """No memory behind these: a table of one element, repeated."""
    ids = codes("x", (1, 2), "s32")
    for rows, dim, fits in ((2**31 - 1, 1, True), (2**15, 2**16 - 1, True), (2**15, 2**16, False)):
        table = np.broadcast_to(np.zeros((1, 1), np.int8), (rows, dim))
        operation = Embedding("e", ("x",), ("y",), table)
        if fits:
            assert operation.infer([ids])[0][0] == (1, 2, dim)
        else:
            with pytest.raises(GraphError, match=r"less than 2\^31 elements"):
                operation.infer([ids])


def test_first_and_last_row() -> None:
    table = frozen_array([[1, -128], [5, 6], [127, 0]], np.int8)
    ids, rows = codes("x", (1, 3), "s32"), codes("y", (1, 3, 2))
    operation = Embedding("e", ("x",), ("y",), table)
    (found,) = operation.reference(Site((ids,), (rows,)), [np.array([[2, 0, 2]])])
    assert found.tolist() == [[[127, 0], [1, -128], [127, 0]]]
