"""Layers of sums: convolutions, linear layers, averages, factors; a part of tools/check_certificate.py."""

import itertools
import math

import numpy as np
from certificate_probes import ALMOST, BOUND, EVERY, TYPES, memory, rng


def round_even(total, shift):
    """N1: total / 2^shift."""
    q = total >> shift
    rest, half = total - (q << shift), np.int64(1) << (shift - 1)
    return q + ((rest > half) | ((rest == half) & (q & 1 == 1)))


class Rescale:
    """N3 to N5: from accumulators [channels, ...] to codes."""

    def __init__(self, r, channels):
        names = ("multiplier", "offset", "shift")
        self.m, self.b, self.s = (np.resize(r[k].astype(np.int64), channels) for k in names)
        self.steps, self.codes, self.limits = (
            r["thresholds"].astype(np.int64),
            r["codes"],
            r["limits"],
        )

    def value(self, acc):
        m, b, s = (v.reshape(-1, *[1] * (acc.ndim - 1)) for v in (self.m, self.b, self.s))
        return round_even(acc * m + b, s)

    def code(self, acc):
        return self.finish(self.value(acc))

    def finish(self, value):
        if not self.steps.size:
            return np.clip(value, *self.limits)
        several = self.steps.ndim > 1
        rows = (
            zip(self.steps, self.codes, value, strict=True)
            if several
            else [(self.steps, self.codes, value)]
        )
        found = [codes[np.searchsorted(steps, row, "right")] for steps, codes, row in rows]
        return np.stack(found) if several else found[0]

    def edges(self, low, high):
        """Both sides of each channel's steps between two accumulators, and these: [channels, n]."""
        lo, hi = self.limits
        levels = np.atleast_2d(self.steps if self.steps.size else np.arange(lo + 1, hi + 1))
        below, above = (np.repeat(v, levels.shape[1], 1) for v in (low - 1, high + 1))
        while np.any(above - below > 1):
            middle = (below + above) >> 1
            reached = (self.value(middle) >= levels) ^ (self.m[:, None] < 0)
            below, above = np.where(reached, below, middle), np.where(reached, middle, above)
        found = np.sort(np.clip(np.concatenate([above - 1, above, low, high], 1), low, high))
        found[:, 1:][np.diff(found) == 0] = np.repeat(high, found.shape[1] - 1, 1)[
            np.diff(found) == 0
        ]
        found.sort()
        return found[:, : int((found < high).sum(1).max()) + 1]


class Sum:
    """A layer whose codes are those of sums of (code - zero point), times weights, by channel."""

    def __init__(self, layer):
        self.what, (self.source,), (self.target,) = (
            layer["what"],
            layer["sources"],
            layer["targets"],
        )
        self.z, self.w, self.size = (
            self.source["zero_point"],
            self.what["weight"],
            self.what["image"],
        )
        self.channels = self.what["channels"]
        self.rescales = [Rescale(r, self.channels) for r in self.what["rescales"]]
        # Kernels of raw codes have z times the sum of the weights in their constants.
        self.raw = self.what["raw"]
        self.order = self.lies(np.arange(self.channels * self.what["positions"]))

    def tensor(self, image):
        """A tensor in PyTorch's order of [channels, rows, columns]."""
        shape = list(self.source["shape"])
        channels = shape.pop(self.what["axis"])
        return np.moveaxis(image.reshape(channels, *shape), 0, self.what["axis"])

    def lies(self, results):
        """The output in memory, of results [channels, positions]."""
        shape = list(self.target["shape"])
        channels = shape.pop(self.what["out_axis"])
        return memory(
            self.target, np.moveaxis(results.reshape(channels, *shape), 0, self.what["out_axis"])
        )

    def sums(self, x, w, groups=None):
        """Accumulators [channels, positions] of [channels, rows, columns] less the zero point."""
        if w is not None:
            return convolution(x, w, self.what, groups or self.what["groups"])
        for axis, bounds in enumerate(self.what["bounds"], 1):
            x = np.stack([x.take(range(*b), axis).sum(axis) for b in bounds], axis)
        return x.reshape(len(x), -1)

    def codes(self, acc):
        found = [rescale.code(acc) for rescale in self.rescales]
        return found[0] if len(found) == 1 else np.choose(self.what["places"][None], found)

    def excess(self, w):
        """What the kernel's sums have too much."""
        sums = w.reshape(self.channels, -1).sum(1) if self.raw else np.zeros(self.channels)
        return self.z * sums.astype(np.int64)

    def packed(self, w):
        """Weights as they lie in memory; zeros fill up."""
        pack = self.what["pack"]
        return np.where(pack < 0, 0, w.reshape(-1)[pack]).astype(np.int8)

    def ask(self, p, layer, x, results, probe):
        p.input(0, self.source, self.tensor(x))
        p.run(
            layer,
            self.lies(results),
            lambda i: (
                probe
                + ", channel {}, position {}".format(*divmod(self.order[i], self.what["positions"]))
            ),
        )


def convolution(x, w, g, groups):
    """[outputs, positions]; `spread`: zeros are put between codes, as a transposed one has it."""
    (top, left, bottom, right), (sy, sx), (dy, dx) = g["padding"], g["stride"], g["dilation"]
    wide = np.zeros(
        (len(x), *((n - 1) * s + 1 for n, s in zip(x.shape[1:], g["spread"], strict=True)))
    )
    wide[:, :: g["spread"][0], :: g["spread"][1]] = x  # sums in float64: exact below 2^53
    sides = ((0, 0), (max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0)))
    wide = np.pad(wide, sides)[:, max(-top, 0) :, max(-left, 0) :]
    rows, columns = g["out"]
    acc, weight = 0, w.reshape(groups, -1, *w.shape[1:]).astype(np.float64)
    for i, j in itertools.product(*map(range, w.shape[2:])):
        seen = wide[:, i * dy :, j * dx :][
            :, : (rows - 1) * sy + 1 : sy, : (columns - 1) * sx + 1 : sx
        ]
        tap, seen = weight[..., i, j], seen.reshape(groups, -1, rows * columns)
        acc = acc + (tap * seen if w.shape[1] == 1 else tap @ seen)
    return acc.astype(np.int64).reshape(-1, rows * columns)


def judge_sum(layer, p):
    """The weights in the program, dense inputs, both sides of all steps, then the coefficients."""
    s, (lo, hi) = Sum(layer), (layer["sources"][0][k] for k in ("lo", "hi"))
    p.words(2, layer["step"])
    if s.w is not None:
        p.words(8, s.what["pack"].size)
        p.expect(layer, s.packed(s.w), lambda i: f"byte {i} of its weights")
    extremes = (np.full(s.size, lo), np.full(s.size, hi), *rng.choice([lo, hi], (4, *s.size)))
    every = lo + (rng.integers(0, 256, s.size) + np.arange(256).reshape(-1, 1, 1, 1)) % (
        hi - lo + 1
    )
    dense = every if s.what["single"] else rng.integers(lo, hi + 1, (12, *s.size))
    for x in (*extremes, *dense):
        s.ask(p, layer, x, s.codes(s.sums(x - s.z, s.w)), "dense codes")
    if s.what["single"]:
        return EVERY
    proven = (steps if s.w is None else weighted_steps)(s, p, layer, lo, hi)
    return ALMOST if coefficients(s, p, layer) and proven else BOUND


def steps(s, p, layer, lo, hi):
    """Both sides of every step, for averages: the codes of a window add up to what is wanted."""
    windows = [
        np.ix_(*(np.arange(*b) for b in ends)) for ends in itertools.product(*s.what["bounds"])
    ]
    sizes = np.array([rows.size * columns.size for rows, columns in windows])
    for k, rescale in enumerate(s.rescales):
        at = int(np.argmax(np.where(s.what["places"] == k, sizes, 0)))
        low, high = (np.full((s.channels, 1), sizes[at] * (end - s.z)) for end in (lo, hi))
        for wanted in rescale.edges(low, high).T[:, :, None]:
            x = np.full(s.size, s.z)
            more = np.arange(sizes[at]) < wanted % sizes[at]
            rows, columns = windows[at]
            x[:, rows, columns] = (s.z + wanted // sizes[at] + more).reshape(
                -1, rows.size, columns.size
            )
            s.ask(p, layer, x, s.codes(s.sums(x - s.z, None)), f"sum {wanted[0, 0]}")
    return True


def weighted_steps(s, p, layer, lo, hi):
    """Both sides of every step each channel can reach, by weights that make these accumulators."""
    taps, (rows, columns), base = s.w[0, 0].size, s.size[1:], s.z if s.raw else 0
    pixel, eye = np.zeros((1, rows, columns)), np.eye(taps).reshape(-1, 1, *s.w.shape[2:])
    pixel[0, rows // 2, columns // 2] = 1
    hit, full = (s.sums(v, eye, 1) for v in (pixel, np.ones_like(pixel)))
    at = int(np.argmax(full.sum(0) * (hit.sum(0) == 1)))  # a position that sees that pixel
    big = max((lo, hi), key=lambda v: abs(v - s.z + base))
    fine = 1 - base + s.z if s.raw or s.z < hi else s.z - 1
    x = np.full(s.size, big)
    x[:: s.w.shape[1], rows // 2, columns // 2] = fine
    gain = np.repeat((big - s.z) * full[:, at][None] + base, s.w.shape[1], 0)
    gain[0] += (fine - big) * hit[:, at]  # what one more in a weight adds to the kernel's sum
    w = s.w.reshape(s.channels, -1).astype(np.int64)
    low, high = (
        f(w * (lo - s.z), w * (hi - s.z)).sum(1)[:, None] for f in (np.minimum, np.maximum)
    )
    wanted = s.rescales[0].edges(low, high)
    left, weights = wanted + s.excess(s.w)[:, None], np.zeros((*wanted.shape, gain.size), np.int8)
    for g in sorted(set(gain.flat) - {0}, key=abs, reverse=True):
        same = np.flatnonzero(gain == g)
        q = np.clip(np.rint(left / g).astype(np.int64), -127 * same.size, 127 * same.size)
        left = left - g * q
        each = np.clip(abs(q)[..., None] - 127 * np.arange(same.size), 0, 127)
        weights[..., same] = np.sign(q)[..., None] * each
    where = np.argsort(s.order)[np.arange(s.channels) * s.what["positions"] + at]
    reached = wanted - left
    right = s.rescales[0].code(reached)
    p.input(0, s.source, s.tensor(x))
    for r in range(wanted.shape[1]):
        p.weights(s.packed(weights[:, r]))
        p.run(
            layer,
            right[:, r],
            lambda i, r=r: f"channel {i}, accumulator {reached[i, r]}",
            where[0],
            where[-1] - where[-2] if s.channels > 1 else 1,
        )
    p.words(2, layer["step"])
    return not np.any(left[(wanted > low) & (wanted < high)])


def coefficients(s, p, layer):
    """Small random codes and weights: another affine form escapes with probability 2^-64."""
    kind, weighted, depth = np.iinfo(TYPES[s.source["dtype"]]), s.w is not None, 1
    if weighted:
        seen, depth = s.w[0, 0].size, s.w.shape[1]
        block = max(1, min(depth, 1600 // seen))
        a, parts = max(1, int((1600 / (block * seen)) ** 0.25)), 1
    else:
        ends = itertools.product(*s.what["bounds"])
        block, seen = 1, max((b - a) * (d - c) for (a, b), (c, d) in ends)
        a, parts = (
            max(1, 127 // seen),
            -(-seen // 100),
        )  # so few codes at once that no sum is limited
    values = np.arange(max(kind.min, s.z - a), min(kind.max, s.z + a) + 1)
    # A wrong form is zero with probability 1 / |values| at most; Hoeffding says how often it is limited.
    right = (1 - 1 / len(values)) * (1 - 1 / (2 * a + 1) if weighted else 1)
    limited = 2 * math.exp(-(127**2) / (2 * block * seen * a**4)) if weighted else 0
    if right - limited < 0.1:
        return False
    channel, pixel = np.arange(s.size[0])[:, None, None] % depth, np.arange(math.prod(s.size[1:]))
    for first, part in itertools.product(range(0, depth, block), range(parts)):
        active = (channel >= first) & (channel < first + block)
        active = active & (pixel.reshape(1, *s.size[1:]) % parts == part)
        for _ in range(math.ceil(-64 / math.log2(1 - right + limited))):
            x, w = np.where(active, rng.choice(values, s.size), s.z), None
            if weighted:
                w = rng.integers(-a, a + 1, s.w.shape)
                p.weights(s.packed(w))
            p.identity(-s.excess(w))
            acc = s.sums(x - s.z, w)
            if not weighted and abs(acc).max() > 127:
                return False
            s.ask(p, layer, x, np.clip(acc, -128, 127), "the sum of small random codes")
    return True
