"""Layers that move, join, compare or quantise: a part of tools/check_certificate.py."""

import math

import numpy as np
from certificate_probes import BOUND, EVERY, TYPES, memory, rng
from certificate_sums import Rescale, round_even

MOVES = {
    "same": lambda what, x: x,
    "permute": lambda what, x: x.transpose(what["axes"]),
    "reshape": lambda what, x: x.reshape(what["shape"]),
    "slice": lambda what, x: x.take(
        what["start"] + what["step"] * np.arange(what["count"]), what["axis"]
    ),
    "take": lambda what, x: x.take(what["columns"], -1).take(what["rows"], -2),
    "pad": lambda what, x: np.pad(x, what["padding"], constant_values=what["value"]),
    "concat": lambda what, *x: np.concatenate(x, what["axis"]),
}


def moved(what, arrays):
    """What a move makes of arrays in PyTorch's order; those with a table go through it."""
    pairs = zip(what["tables"], arrays, strict=True)
    through = [table[x.view(np.uint8)] if table.size else x for table, x in pairs]
    return MOVES[what["move"]](what, *through)


def judge_move(layer, p):
    """Numbers of elements as labels, in passes of a byte; through tables every code, everywhere."""
    what, sources, (target,) = layer["what"], layer["sources"], layer["targets"]
    sizes = [math.prod(source["shape"]) for source in sources]
    labels = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    if layer["kernel"]:
        p.words(2, layer["step"])
    else:  # the bytes stay where they are, and mean the right element in their new order
        back = memory(target, moved(what, labels_in(sources, labels)))
        same_place = target["place"] == sources[0]["place"]
        if not (same_place and np.array_equal(back, memory(sources[0], labels[0]))):
            layer["fault"] = "the output is not the input's memory in another order"
        return EVERY
    base = [rng.integers(0, 256, size) for size in sizes]
    passes = [[v >> 8 * k for v in labels] for k in range(math.ceil(math.log(sum(sizes), 256)) + 1)]
    if any(table.size for table in what["tables"]):
        passes = [[b + r for b in base] for r in range(256)]
    passes += [[rng.integers(0, 256, size) for size in sizes] for _ in range(8)]
    for number, values in enumerate(passes):
        given = [v.astype(np.uint8).view(np.int8) for v in values]
        given = labels_in(
            sources, [v.astype(TYPES[s["dtype"]]) for v, s in zip(given, sources, strict=True)]
        )
        for k, (source, x) in enumerate(zip(sources, given, strict=True)):
            p.input(k, source, x)
        p.run(layer, memory(target, moved(what, given)), lambda i, n=number: f"byte {i}, pass {n}")
    return EVERY


def labels_in(sources, arrays):
    """Each array in the shape of its tensor."""
    return [array.reshape(source["shape"]) for source, array in zip(sources, arrays, strict=True)]


def judge_pair(layer, p):
    """All pairs of codes, through sums with coefficients or products, and random tensors."""
    what, (first, second) = layer["what"], layer["sources"]
    rescale, p0 = Rescale(what["rescale"], 1), math.prod(second["shape"])
    p.words(2, layer["step"])
    ranges = [np.arange(t["lo"], t["hi"] + 1) for t in (first, second)]
    size, n0, n1 = math.prod(first["shape"]), *map(len, ranges)
    repeats = size // p0
    tries = [(np.arange(size) + r * size) % (n0 * n1) for r in range(-(-n0 * n1 // size))]
    runs = [(ranges[0][t // n1], ranges[1][t % n1]) for t in tries]
    if repeats > 1:  # the second's codes shift, the first's shift faster
        own = np.broadcast_to(np.arange(p0).reshape(second["shape"]), first["shape"])
        rank = np.empty(size, int)  # which of the repeats of its partner an element is
        rank[np.argsort(own.reshape(-1), kind="stable")] = np.arange(size) % repeats
        runs = [
            (ranges[0][(rank + k * repeats) % n0], ranges[1][(np.arange(p0) + r) % n1])
            for k in range(-(-n0 // repeats))
            for r in range(0, n1, p0)
        ]
    runs += [(rng.choice(ranges[0], size), rng.choice(ranges[1], p0)) for _ in range(8)]
    for x, y in runs:
        x, y = x.reshape(first["shape"]), y.reshape(second["shape"])
        if what["coefficients"]:
            a, b = what["coefficients"]
            codes = rescale.finish(round_even(a * x + b * y + rescale.b[0], rescale.s[0]))
        else:
            codes = rescale.code(((x - first["zero_point"]) * (y - second["zero_point"]))[None])[0]
        p.input(0, first, x), p.input(1, second, y)
        p.run(
            layer, memory(layer["targets"][0], codes), lambda i: f"element {i} of a pair of tensors"
        )
    return EVERY


def judge_max(layer, p):
    """One large code among small ones at every place of the windows, for all values of either."""
    what, (source,), (target,) = layer["what"], layer["sources"], layer["targets"]
    p.words(2, layer["step"])
    lo, hi = source["lo"], source["hi"]
    number = np.arange(math.prod(source["shape"])).reshape(what["image"])
    period = max(len(q) for q in what["seen"][0]) * max(len(q) for q in what["seen"][1])
    xs = [
        np.where((number + number // what["image"][2]) % (period + 1) == r, b, a)
        for r in range(period + 1)
        for a, b in ((lo, hi), (lo, lo + 1), (hi - 1, hi), (hi, lo), (-1 % 256, 0))
        if lo <= a <= hi
    ]
    xs += [
        np.where(rng.random(number.shape) < 0.3, rng.integers(lo, hi + 1, number.shape), a)
        for a in range(lo, hi + 1)
    ]
    for x in xs:
        best = x
        for axis, places in enumerate(what["seen"], 1):
            best = np.stack([best.take(q, axis).max(axis) for q in places], axis)
        p.input(0, source, x), p.run(layer, memory(target, best), lambda i: f"maximum {i}")
    return EVERY


def quantised(what, target, x):
    """N6: binary32, every operation rounded on its own."""
    with np.errstate(all="ignore"):
        return _quantised(what, target, x)


def _quantised(what, target, x):
    for kind, inner, c in what["steps"]:
        c = np.resize(np.repeat(c, inner), x.size)
        x = (x + c, x - c, c - x, x * c, x / c, np.where(x >= 0, c, -c))[kind]
    t = np.rint(x / np.float32(what["scale"]) + np.float32(target["zero_point"]))
    return np.where(
        np.isnan(t), target["zero_point"], np.clip(t, target["lo"], target["hi"])
    ).astype(int)


def judge_quantise(layer, p):
    """The binary32 numbers on both sides of every step, for each set of constants."""
    what, (source,), (target,) = layer["what"], layer["sources"], layer["targets"]
    p.words(2, layer["step"])
    size, levels = math.prod(source["shape"]), np.arange(target["lo"] + 1, target["hi"] + 1)
    largest = np.full(size, np.finfo(np.float32).max)
    constants = [np.resize(np.repeat(c, inner), size) for _, inner, c in what["steps"]] or [
        np.zeros(size)
    ]
    _, own, alike = np.unique(np.stack(constants), axis=1, return_inverse=True, return_counts=True)
    rank = np.empty(size, int)
    rank[np.argsort(own.reshape(-1), kind="stable")] = np.concatenate([np.arange(n) for n in alike])
    falls = quantised(what, target, largest) < quantised(what, target, -largest)
    xs = [
        np.full(size, v, np.float32)
        for v in (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-42, *largest[:1], *-largest[:1])
    ]
    for r in range(-(-len(levels) // int(alike.min()))):
        level = levels[(rank + r * int(alike.min())) % len(levels)]
        below, above = as_keys(-largest), as_keys(largest)
        while np.any(above - below > 1):
            middle = (below + above) >> 1
            reached = (quantised(what, target, as_floats(middle)) >= level) ^ falls
            below, above = np.where(reached, below, middle), np.where(reached, middle, above)
        xs += [as_floats(below), as_floats(above)]
    for x in xs:
        (
            p.input(0, source, x),
            p.run(layer, memory(target, quantised(what, target, x)), lambda i: f"element {i}"),
        )
    return EVERY


def as_keys(x):
    """Integers in the order of binary32 numbers."""
    bits = x.astype(np.float32).view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(2**31) - bits, bits)


def as_floats(keys):
    """The inverse."""
    return np.where(keys < 0, -(2**31) - keys, keys).astype(np.int32).view(np.float32)


def judge_embedding(layer, p):
    """Every row of the table; ids at random."""
    (ids,), (target,), table = layer["sources"], layer["targets"], layer["what"]["table"]
    p.words(2, layer["step"])
    n = math.prod(ids["shape"])
    runs = [(np.arange(n) + r * n) % len(table) for r in range(-(-len(table) // n))]
    for x in runs + [rng.integers(0, len(table), n) for _ in range(4)]:
        p.input(0, ids, x), p.run(layer, memory(target, table[x]), lambda i: f"element {i}")
    return EVERY


def judge_samples(layer, p):
    """The cases whose outputs the float64 model has accepted."""
    what = layer["what"]
    p.words(2, layer["step"])
    for case, (given, wanted) in enumerate(zip(what["inputs"], what["outputs"], strict=True)):
        for k, (source, x) in enumerate(zip(layer["sources"], given, strict=True)):
            p.input(k, source, x)
        p.run(
            layer, memory(layer["targets"][0], wanted), lambda i, c=case: f"element {i} of case {c}"
        )
    return BOUND


def judge_constant(layer, p):
    """The constant as it lies in the program."""
    p.words(9, layer["outputs"][0])
    p.expect(layer, memory(layer["targets"][0], layer["what"]["data"]), lambda i: f"element {i}")
    return EVERY
