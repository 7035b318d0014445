"""Runs a wasm32-wasi program as if it were a native one: `python wasi.py PROGRAM WORDS...`.

The program sees the current folder as its own, its words, standard output and error; its exit code is passed on. A
trap (an access outside memory, an unreachable instruction) ends with a message on standard error and exit code 134,
as an abort does. Run by its path and not as a module, so that starting it imports nothing of ARES.
"""

from __future__ import annotations

import sys
from pathlib import Path

import wasmtime

TRAPPED = 134


def main(program: str, words: list[str]) -> int:
    """The program's exit code."""
    config = wasmtime.Config()
    config.cache = True  # compiled code is kept by wasmtime, under the digest of the module
    engine = wasmtime.Engine(config)
    module = wasmtime.Module(engine, Path(program).read_bytes())
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    wasi = wasmtime.WasiConfig()
    wasi.argv = ["program", *words]
    wasi.preopen_dir(".", ".")
    wasi.inherit_stdin()  # the probe of `ares prove` is asked there
    wasi.inherit_stdout()
    wasi.inherit_stderr()
    store = wasmtime.Store(engine)
    store.set_wasi(wasi)
    start = linker.instantiate(store, module).exports(store)["_start"]
    assert isinstance(start, wasmtime.Func)
    try:
        start(store)
    except wasmtime.ExitTrap as end:
        return end.code
    except wasmtime.Trap as trap:
        sys.stderr.write(f"{trap}\n")
        return TRAPPED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
