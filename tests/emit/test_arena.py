"""An arena that is NULL or not aligned is answered, before anything is read or written."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import numpy as np
import pytest

from ares.emit import emit
from ares.plan import plan
from ares.toolchain import build
from ares.toolchain.targets import TARGETS
from tests.emit.test_symbols import codes, network
from tests.slow import slow_but

MAIN = """\
#include "net.h"

#include <stdio.h>
#include <string.h>

static _Alignas(16) unsigned char arena[NET_ARENA_BYTES + 16];
static int32_t seen;

static ares_status observer(void *context, uint32_t index, const ares_layer *layer,
                            const ares_tensor *tensor, const void *data)
{
    (void)context, (void)index, (void)layer, (void)tensor, (void)data;
    ++seen;
    return ARES_OK;
}

int main(void)
{
    static const float x[6] = {@x@};
    int8_t y[4] = {99, 99, 99, 99};

    if (net_run(x, y, NULL) != ARES_ERROR_ARENA) {
        return 100;
    }
    for (int32_t i = 1; i < 16; ++i) {
        if (net_run_observed(x, y, arena + i, observer, NULL) != ARES_ERROR_ARENA || seen != 0) {
            return i;
        }
    }
    for (size_t i = 0; i < sizeof arena; ++i) {
        if (arena[i] != 0) {
            return 101;
        }
    }
    if (y[0] != 99 || y[1] != 99 || y[2] != 99 || y[3] != 99) {
        return 102;
    }
    for (int32_t i = 0; i <= 16; i += 16) {
        if (net_run(x, y, arena + i) != ARES_OK) {
            return 103;
        }
        printf("%d %d %d %d\\n", y[0], y[1], y[2], y[3]);
    }
    return 0;
}
"""


@pytest.mark.parametrize("name", slow_but([2], ["gcc-asan", "wasm32-zig-O2", "s390x-gcc-O2"]))
def test_a_wrong_arena_is_answered(name: str) -> None:
    """64 and 32 bits of address, little- and big-endian."""
    target = next(target for target in TARGETS if target.name == name)
    missing = target.missing()
    if missing is not None:
        pytest.skip(missing)
    graph, x = network("net", 1)
    project = emit(plan(graph))
    numbers = ", ".join(f"{float(value).hex()}f" for value in np.ravel(x))
    main = MAIN.replace("@x@", numbers).encode()
    binary = build(replace(project, files={**project.files, "main.c": main}), target)
    found = subprocess.run(
        target.machine.command(binary.path, ()), capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    line = " ".join(map(str, codes(graph, x)))
    assert found.stdout.splitlines() == [line, line]
