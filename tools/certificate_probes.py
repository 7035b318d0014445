"""Commands for probe.c, and what it answers: the part of tools/check_certificate.py that runs the C."""

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np

EVERY, ALMOST, BOUND = "every input", "every input but for 2^-64", "bound on paper and samples"
TYPES = {"s8": np.int8, "u8": np.uint8, "s16": np.int16, "s32": np.int32, "f32": np.float32}
rng = np.random.Generator(np.random.PCG64(20261130))


class Probes:
    """Commands for probe.c, and what it has to answer."""

    def __init__(self, command, folder):
        self.command, self.folder, self.due = command, Path(folder), []
        self.file = (self.folder / "in").open("wb")

    def words(self, *values):
        self.file.write(struct.pack(f"<{len(values)}I", *(int(v) % 2**32 for v in values)))

    def array(self, values, kind):
        self.file.write(np.asarray(values).astype(np.dtype(kind).newbyteorder("<")).tobytes())

    def weights(self, packed):
        self.words(3, packed.size), self.array(packed, np.int8), self.words(0)

    def identity(self, offsets):
        """A rescale whose code is the kernel's sum and an offset, limited to -128..127."""
        n = len(offsets)
        self.words(4, n), self.array(np.full(n, 2**30), np.int32)
        self.array(offsets * 2**30 + 2**29, np.int64), self.array(np.full(n, 30), np.uint8)
        self.words(-128, 127)

    def input(self, number, tensor, array):
        self.words(6, number), self.array(memory(tensor, array), TYPES[tensor["dtype"]])

    def run(self, layer, wanted, what, start=0, step=1):
        """Run a layer; `wanted` are elements of its output in memory, what(i) says what one is."""
        self.words(7, 0, start, wanted.size, step)
        self.expect(layer, wanted.astype(TYPES[layer["targets"][0]["dtype"]]), what, 4)

    def expect(self, layer, wanted, what, status=0):
        self.due.append((layer, np.ascontiguousarray(wanted).reshape(-1), what, status))
        layer["probes"] = layer.get("probes", 0) + 1

    def answer(self, enough=0):
        """Run the program if there is enough to do; each layer keeps its first difference."""
        if self.file.tell() < enough:
            return b""
        self.file.close()
        done = subprocess.run([*self.command, "in", "out"], cwd=self.folder, stderr=subprocess.PIPE)
        if done.returncode:
            sys.exit(f"the probe ended with {done.returncode}: {done.stderr.decode()[-400:]}")
        data, place = (self.folder / "out").read_bytes(), 0
        for layer, wanted, what, status in self.due:
            failed, place = any(data[place : place + status]), place + status
            kind = f"u{wanted.itemsize}"
            found = np.frombuffer(data, f"<{kind}", wanted.size, place).astype(kind)
            place += wanted.nbytes
            wrong = np.flatnonzero(found != wanted.view(kind))
            if failed or wrong.size:
                i = wrong[0] if wrong.size else 0
                values = f"wanted {wanted[i]}, found {found.view(wanted.dtype)[i]}"
                say = "its kernel refuses the input" if failed else f"{what(i)}: {values}"
                layer.setdefault("fault", say)
        self.due, self.file = [], (self.folder / "in").open("wb")
        return data


def memory(tensor, array):
    """The elements as they lie in memory."""
    return np.asarray(array).reshape(tensor["shape"]).transpose(tensor["layout"]).reshape(-1)
