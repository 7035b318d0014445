"""Re-check a certificate of `ares prove` with the compiled C beside it; nothing of ARES is imported.

    python tools/check_certificate.py DIR [--cc "gcc -O2"] [--program P] [--runner R] [--json]

DIR holds the exported C, `probe.c` (runs single layers on given bytes), `certificate.json` and
`certificate.npz`: what every layer means, in integers. All probes follow from that, here: none can
be left out. Assumed of the C: a sum is affine in codes and in weights, and bounded (N2 of
docs/numerics.md); between two steps of a rescale the code does not change; a maximum is made of
comparisons; what moves codes does not look at them. Exit code: 0 all is as claimed, 1 not, 2 usage.
"""

import argparse
import json
import math
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from certificate_layers import (
    judge_constant,
    judge_embedding,
    judge_max,
    judge_move,
    judge_pair,
    judge_quantise,
    judge_samples,
)
from certificate_probes import EVERY, TYPES, Probes
from certificate_sums import judge_sum

FLUSH = 2**25  # bytes of commands for one run of the program

JUDGES = {
    "sum": judge_sum,
    "move": judge_move,
    "pair": judge_pair,
    "max": judge_max,
    "quantise": judge_quantise,
    "embedding": judge_embedding,
    "samples": judge_samples,
    "constant": judge_constant,
    "folded": lambda layer, p: EVERY,
}


def check_table(certificate, p):
    """The program's own table of layers and tensors has to be the certificate's."""
    p.words(1)
    data, words = p.answer(), []

    def word():
        nonlocal data
        value, data = int.from_bytes(data[:4], "little"), data[4:]
        return value

    def text():
        nonlocal data
        size = word()
        value, data = data[:size].decode(), data[size:]
        return value

    for _ in range(word()):
        name, kernel, inputs, outputs = text(), bool(word()), word(), word()
        words.append(
            [name, kernel, [word() for _ in range(inputs)], [word() for _ in range(outputs)]]
        )
    tensors = [[text(), *(word() for _ in range(4))] for _ in range(word())]
    told = [
        [layer[k] for k in ("name", "kernel", "inputs", "outputs")]
        for layer in certificate["layers"]
    ]
    if words != told:
        sys.exit("the program has other layers than the certificate")
    kinds = list(TYPES)
    for found, tensor in zip(tensors, certificate["tensors"], strict=True):
        tensor["place"] = found[3:]
        if found[:3] != [tensor["name"], math.prod(tensor["shape"]), kinds.index(tensor["dtype"])]:
            sys.exit(f"tensor {tensor['name']} is another one in the program")


def loaded(value, arrays):
    """JSON with its arrays in place."""
    if isinstance(value, dict):
        return (
            arrays[value["array"]]
            if "array" in value
            else {k: loaded(v, arrays) for k, v in value.items()}
        )
    return [loaded(v, arrays) for v in value] if isinstance(value, list) else value


def compiled(folder, certificate, cc, work):
    """The program, of all C in the folder."""
    include = [f"-I{folder}", *(f"-I{path}" for path in folder.glob("runtime/*") if path.is_dir())]
    sources = [
        *map(str, folder.glob("runtime/src/*.c")),
        *(str(folder / n) for n in certificate["sources"]),
    ]
    command = [
        *shlex.split(cc),
        "-std=c11",
        "-ffp-contract=off",
        *include,
        *sources,
        "-o",
        f"{work}/probe",
    ]
    subprocess.run(command, check=True)
    return f"{work}/probe"


def check(folder, cc, program, runner):
    """The layers of a certificate, with what was shown of each and the first fault."""
    certificate = json.loads((folder / "certificate.json").read_text())
    with tempfile.TemporaryDirectory() as work, np.load(folder / "certificate.npz") as arrays:
        certificate["layers"] = loaded(certificate["layers"], arrays)
        p = Probes([*shlex.split(runner), program or compiled(folder, certificate, cc, work)], work)
        check_table(certificate, p)
        for step, layer in enumerate(certificate["layers"]):
            layer["step"] = step
            for side in ("sources", "targets"):
                numbers = layer["inputs" if side == "sources" else "outputs"]
                layer[side] = [certificate["tensors"][n] for n in numbers]
            layer["shown"] = JUDGES[layer["what"]["type"]](layer, p)
            p.answer(FLUSH)
        p.answer()
    for layer in certificate["layers"]:
        if layer["shown"] != layer.get("kind", layer["shown"]):
            layer.setdefault("fault", f"said to be proven for {layer['kind']}")
    return certificate["layers"]


def main():
    """Check the folder that the command line names; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cc", default="cc -O2")
    parser.add_argument("--program", help="a probe that is built already")
    parser.add_argument("--runner", default="", help="what runs programs for another processor")
    parser.add_argument("--json", action="store_true")
    a = parser.parse_args()
    layers = check(a.folder.resolve(), a.cc, a.program, a.runner)
    keys = ("name", "shown", "probes", "fault")
    if a.json:
        print(json.dumps([{k: layer.get(k) for k in keys} for layer in layers]))
    for layer in layers if not a.json else ():
        print(
            f"{layer['name']:40} {layer['shown']:28} {layer.get('probes', 0):6} {layer.get('fault', 'right')}"
        )
    return int(any("fault" in layer for layer in layers))


if __name__ == "__main__":
    sys.exit(main())
