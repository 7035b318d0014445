"""Re-check a certificate of `ares prove` with the compiled C; nothing of ARES is imported.

    cc -O2 -std=c11 -ffp-contract=off -IDIR -IDIR/runtime/inc DIR/*.c DIR/runtime/src/*.c -o probe
    python check_certificate.py DIR COMMAND... [-- COMMAND...]     such as ./probe -- qemu-arm ./other

DIR holds the exported C, `probe.c` (it runs single layers on given bytes), `certificate.json` and
`certificate.npz`: what every layer means, in integers. All probes follow from that, here: none can
be left out. Assumed of the C: a sum is affine in codes and in weights, and bounded (N2 of
docs/numerics.md); between two steps of a rescale the code does not change; a sum that stays real
is only scaled (N9); a maximum is made of comparisons; what moves codes does not look at them.
Exit code: 0 all is as claimed, 1 not, 2 usage, or a certificate or program that cannot be read.
"""

import hashlib
import io
import json
import subprocess
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np

EVERY, ALMOST, BOUND = "every input", "every input but for 2^-64", "bound on paper and samples"
TYPES = {"s8": "i1", "u8": "u1", "s16": "<i2", "s32": "<i4", "f32": "<f4"}
SPAN = 2**40  # more than what a rescale makes of any accumulator, on both sides
rng = np.random.Generator(np.random.PCG64(20261130))


class Layer:
    """A layer in the probing programs. What the certificate says that it means are attributes."""

    def __init__(self, programs, step, facts, tensors):
        vars(self).update(facts)
        self.programs, self.faults, self.probes = programs, [None] * len(programs), 0
        self.sources = [tensors[number] for number in self.inputs]
        self.target = tensors[self.outputs[0]]
        self.sizes = [source["elements"] for source in self.sources]
        self.orders = [places_of(source) for source in self.sources]
        self.back, self.kind = (
            np.argsort(places_of(self.target)),
            np.dtype(TYPES[self.target["dtype"]]),
        )
        if self.kernel:
            self.send(2, step)

    def send(self, *parts):
        """Words, and arrays byte by byte."""
        data = [p.tobytes() if np.ndim(p) else int(p % 2**32).to_bytes(4, "little") for p in parts]
        for program in self.programs:
            program.stdin.write(b"".join(data))

    def run(self, inputs, wanted, probe, only=slice(None)):
        """Run it on inputs: are all elements of its output, or `only` these, as wanted?"""
        for number, (order, x) in enumerate(zip(self.orders, inputs, strict=False)):
            kind = np.dtype(TYPES[self.sources[number]["dtype"]])
            self.send(6, number, as_bits(np.ravel(x)[order], kind))
        self.send(*((7, 0, 0, self.back.size, 1) if self.kernel else (9, self.outputs[0])))
        self.hear(np.ravel(wanted), probe, self.back.size, self.kind, self.back[only], self.kernel)

    def hear(self, wanted, probe, size, kind, at=slice(None), kernel=False):
        """Whether of so many elements that all programs answer those at these places are as wanted."""
        wanted, status, bits = as_bits(wanted, kind), 4 * kernel, f"u{kind.itemsize}"
        for program in self.programs:
            program.stdin.flush()
        for k, program in enumerate(self.programs):
            data = program.stdout.read(status + size * kind.itemsize)
            if len(data) < status + size * kind.itemsize:
                raise BrokenPipeError("the program has ended")
            found = np.frombuffer(data, kind, size, status)[at]
            wrong = np.flatnonzero(wanted.view(bits) != found.view(bits))[:1]
            fault = "its kernel refuses the input" if any(data[:status]) else None
            if wrong.size and not fault:
                fault = f"{probe}: at {wrong}: wanted {wanted[wrong]}, found {found[wrong]}"
            self.faults[k] = self.faults[k] or fault
        self.probes += 1

    def ask(self, x, probe, y=None):
        """Whether an image [channels, rows, columns] gives what it should, or the image y."""
        if y is None:
            y = self.result(self.sums(x, self.weight, self.minus, self.outside), self.row)
        flat = np.zeros(self.sizes[0], int)
        flat[self.image] = x
        self.run([flat], y, probe, self.place.ravel())

    def weigh(self, codes):
        """Some of the codes as weights, or these ones; a second input is as good as weights."""
        w = codes if np.ndim(codes) > 1 else rng.choice(codes, self.numbers.max() + 1)[self.numbers]
        if self.pack.size:
            sums = (len(w), w.sum((1, 2, 3)).astype("<i4")) if self.own_sums else (0,)
            self.send(3, self.pack.size, np.append(w, 0)[self.pack].astype("i1"), *sums)
        else:
            flat = np.zeros(self.sizes[1], int)
            flat[self.numbers] = w + self.second_zero
            self.send(6, 1, as_bits(flat[self.orders[1]], np.dtype("u1")))
        return w

    def taps(self, image, outside, reduce):
        """What each tap sees at every place of the output, its sources together; -1 is outside."""
        wide = np.pad(image, ((0, 0), (0, 1), (0, 1)), constant_values=outside)
        for i in range(self.rows.shape[1]):
            rows = reduce(np.take(wide, self.rows[:, i], 1), 2)
            for j in range(self.columns.shape[1]):
                yield i, j, reduce(np.take(rows, self.columns[:, j], 2), 3)

    def sums(self, x, w, minus, outside):
        """Sums [channels, rows, columns] of codes less `minus`, times weights."""
        total, depth, groups = 0, w.shape[1], len(x) // w.shape[1]
        times, w = np.multiply if depth == 1 else np.matmul, w.astype(float)  # exact below 2^53
        for i, j, seen in self.taps(x - float(minus), outside - minus, np.sum):
            each = w[:, :, i, j].reshape(groups, -1, depth)
            total = total + times(each, seen.reshape(groups, depth, -1))
        return total.astype(np.int64).reshape(len(w), *seen.shape[1:])

    def value(self, acc, row):
        """N3, by a row of constants: (acc * multiplier + offset) / 2^shift, half to even."""
        total, shift = acc * self.multiplier[row] + self.offset[row], self.shift[row]
        low = total >> shift
        return low + (2 * (total - (low << shift)) + (low & 1) > np.int64(1) << shift)

    def result(self, acc, row):
        """N4 and N5: the code behind the last step that the value reaches; N9 of what stays real."""
        if self.real:
            real = (acc + self.bias_codes).astype("<f4") * self.scale
            return real + self.bias if self.bias.size else real
        count, steps = self.thresholds.shape
        keys = self.thresholds + SPAN * np.arange(count)[:, None]
        at = np.searchsorted(keys.ravel(), self.value(acc, row) + SPAN * row, "right")
        return self.limits[row, at - steps * row]

    def edges(self, low, high, row):
        """Accumulators [n, channels] on both sides of all steps between low and high, and these."""
        steps = self.thresholds[row].T
        below, above = (np.broadcast_to(end, steps.shape) for end in (low - 1, high + 1))
        while np.any(above - below > 1):
            middle = (below + above) >> 1
            reached = (self.value(middle, row) >= steps) ^ (self.multiplier[row] < 0)
            below, above = np.where(reached, below, middle), np.where(reached, middle, above)
        return np.unique(np.clip([*below, *above, low, high], low, high), axis=0)

    def judge_sum(self):
        """Dense codes, the weights, both sides of all steps, then the coefficients."""
        ends, every, w = [self.lo, self.hi], np.arange(self.lo, self.hi + 1), self.weight
        self.row, free = self.channel_rows + self.place_rows, self.numbers.size > 0
        for codes in ([self.lo], [self.hi], *[ends] * 4, *[every] * 12):
            self.weight = w if w.size else self.weigh(np.arange(self.reach[0], self.reach[1] + 1))
            self.ask(rng.choice(codes, self.sizes[0])[self.image], "dense codes")
        if self.pack.size:
            self.send(8, self.pack.size)
            self.hear(np.append(w, 0)[self.pack], "its weights", self.pack.size, np.dtype("i1"))
        steps = self.steps_by_weights if free else self.steps_by_codes
        return ALMOST if (self.real or steps()) and self.coefficients(free) else BOUND

    def steps_by_weights(self):
        """All steps, at the place that sees most: other weights make the accumulators."""
        w, minus, depth, complete = self.weight, self.minus, self.weight.shape[1], True
        p, q = (int((a >= 0).sum((1, 2)).argmax()) for a in (self.rows, self.columns))
        first, second = (a[a >= 0][0] for a in (self.rows[p], self.columns[q]))
        codes = sorted({v - minus for v in range(self.lo, self.hi + 1)} - {0}, key=abs)
        near, *ends = codes[0], codes[-1], self.lo - minus, self.hi - minus
        x, *full = (np.full_like(self.image[:depth], v) for v in ends)
        if max(self.rows.shape[2], self.columns.shape[2]) > 1:  # sums of sums: one code alone, too
            x[:2], x[1:2, first, second] = 0, codes[-1]
        x[0, first, second], row, (least, most) = near, self.row[:, p, q], self.reach
        self.ask(np.tile(x, (len(self.image) // depth, 1, 1)) + minus, "codes for the steps")
        taps = [self.taps(v, self.outside - minus, np.sum) for v in (x, *full)]
        seen = [[image[:, p, q] for *_, image in images] for images in taps]
        sees, *ends = (np.array(each).T.reshape(w.shape[1:]) for each in seen)
        weights = [w] if self.pack.size else [np.full_like(w, end) for end in self.reach]
        ends = [v * end for v in weights for end in ends]
        low, high = (f(ends, 0).sum((1, 2, 3)) for f in (np.min, np.max))
        for wanted in self.edges(low, high, row):
            made, rest = np.zeros((len(w), sees.size), int), wanted
            for value in sorted({*sees.ravel().tolist()} - {0}, key=abs, reverse=True):
                times = np.rint(rest / value).astype(int)[:, None]
                enough = abs(times).max() // (min(most, -least) or 1) + 1
                at = np.flatnonzero(sees == value)[:enough]
                up, down = (times - end * np.arange(at.size) for end in (most, least))
                made[:, at] = np.clip(up, 0, most) + np.clip(down, least, 0)
                rest = rest - made[:, at].sum(1) * value
            complete &= bool(np.all((rest == 0) | (wanted == low) | (wanted == high)))
            self.weigh(made.reshape(w.shape))
            self.run([], self.result(wanted - rest, row), "steps", self.place[:, p, q])
        return complete

    def steps_by_codes(self):
        """The same of sums without weights: the codes in a window add up to what is wanted."""
        h, w = (np.maximum(1, (axis >= 0).sum((1, 2))) for axis in (self.rows, self.columns))
        kinds = {(row, h[p], w[q]): (p, q) for (p, q), row in np.ndenumerate(self.place_rows)}
        rows, columns = np.ogrid[tuple(map(slice, self.image.shape[1:]))]
        for (_, height, width), (p, q) in kinds.items():
            number, size = rows % height * width + columns % width, height * width  # each once
            ends = [np.full(len(self.weight), size * (v - self.minus)) for v in (self.lo, self.hi)]
            for wanted in self.edges(*ends, self.row[:, p, q])[:, :, None, None]:
                self.ask(self.minus + (wanted + number) // size, "steps")
        return True

    def coefficients(self, free):
        """Small random codes and weights: another affine form escapes with probability 2^-64."""
        z, w, real, ones = self.zero, self.weight, self.real, np.ones_like(self.weight)
        spans = (self.lo - z, self.hi - z), self.reach if free else (1, 1)
        some, tiny = (np.arange(max(low, -1), min(high, 1) + 1) for low, high in spans)
        total = self.sums(np.ones(self.image.shape), ones, 0, 0).max()
        dense = 1 if real else min(1, (1200 if free else 60) / total)  # the share of codes not z
        seen = dense * (1 - 1 / len(some)) * (1 - 1 / len(tiny) if free else 1)
        # Bernstein's inequality says how seldom a sum is limited to the 8 bits that a code has.
        room = 127 if free else 67
        seen -= 0 if real else 2 * np.exp(-(room**2) / 2 / (dense * total + room / 3))
        if seen <= 0 or len(tiny) == 2 or (real and total > 2**24):
            return False
        for _ in range(int(np.ceil(-64 / np.log2(1 - seen)))):
            x = rng.choice(some, self.sizes[0]) * (rng.random(self.sizes[0]) < dense)
            x = x[self.image] + z
            w = self.weigh(tiny) if free else w
            y, add = self.sums(x, w, z, z), (self.minus - z) * w.sum((1, 2, 3))
            if real:
                self.send(5, add.size, np.ones(add.size, "<f4"), add.astype("<i4"))
            else:  # a rescale whose code is the sum
                unit = np.full(add.size if add.any() else 1, 2**30)
                offset, shift = add[: unit.size] * unit + 2**29, np.full(unit.size, 30, "u1")
                self.send(4, unit.size, unit.astype("<i4"), offset, shift, -128, 127)
            self.ask(x, "small codes", y.astype("<f4") if real else np.clip(y, -128, 127))
        return True

    def judge_table(self):
        """Each element is one of the inputs' elements, a constant, or what a table says of it."""
        tables, source, labels = self.tables, self.source, np.arange(sum(self.sizes))
        count = tables.shape[1]
        if not self.kernel:  # the bytes stay where they are, and are right in the new order
            same = np.array_equal(source[places_of(self.target)], self.orders[0])
            if not same or self.target["place"] != self.sources[0]["place"]:
                self.faults = ["it is not the input's memory in another order" for _ in self.faults]
            return
        runs = [rng.integers(0, 2**32, labels.size) for _ in range(9)]
        runs += [runs[0] + code for code in range(count)] or [labels >> 8 * k for k in range(4)]
        for x in runs:
            x = x % count if count else x
            taken = np.append(x, self.fill)[source]
            wanted = tables[self.which, taken] if count else taken
            self.run(np.split(x, np.cumsum(self.sizes)[:-1]), wanted, "copies")

    def judge_pair(self):
        """All pairs of codes, wherever they come first, and random ones everywhere."""
        (lo, low), (n0, n1) = (s["lo"] for s in self.sources), self.table.shape
        first, second = self.first, self.second  # elements of the inputs that meet
        left, more = np.ones((n1, n0), bool), 8
        while left.any() or more:
            x, y = (rng.integers(0, n, size) for n, size in zip((n0, n1), self.sizes, strict=True))
            more -= not left.any()
            if left.any():
                y[second], x[first] = np.divmod(np.resize(np.flatnonzero(left), first.size), n0)
            left[y[second], x[first]] = False
            self.run([x + lo, y + low], self.table[x[first], y[second]], "pairs")

    def judge_max(self):
        """One large code among small ones at each place of the windows, every code among others."""
        lo, hi, shape = self.lo, self.hi, self.image.shape
        count, pairs = self.rows.shape[1] * self.columns.shape[1], ((lo, hi), (lo, lo + 1))
        channels, rows, columns = np.ogrid[tuple(map(slice, shape))]
        place = (channels + rows * self.columns.shape[1] + columns) % count  # each once in a window
        xs = [np.where(place == r, large, small) for r in range(count) for small, large in pairs]
        some = rng.integers(lo, hi + 1, (hi - lo + 1, *shape))
        xs += [np.where(rng.random(shape) < 0.3, x, code) for code, x in enumerate(some, lo)]
        for x in xs:
            self.ask(x, "maxima", np.max([seen for *_, seen in self.taps(x, lo - 1, np.max)], 0))

    def judge_quantise(self):
        """Binary32 numbers: all elements see both sides of all their steps, and special numbers."""
        special = np.tile(np.array([np.inf, -np.inf, 0, -0.0, 1e-42], "<f4"), (len(self.steps), 1))
        below = np.nextafter(self.steps, np.float32(-np.inf))
        xs = np.concatenate([self.steps, below, special], 1)  # the last step: to what is no number
        at = [np.searchsorted(row, x, "right") for row, x in zip(self.steps, xs, strict=True)]
        codes = np.take_along_axis(self.between, np.stack(at), 1)
        for r in range(xs.shape[1]):
            at = (np.arange(self.own.size) + r) % xs.shape[1]
            self.run([xs[self.own, at]], codes[self.own, at], "steps")

    def judge_samples(self):
        """Cases whose outputs the float64 model has accepted; what no kernel makes is constant."""
        for case, wanted in enumerate(self.wanted):
            given = [getattr(self, f"given{k}")[case] for k in range(len(self.sources))]
            self.run(given, wanted, f"case {case}")
        return BOUND if self.kernel or self.sources else EVERY


def places_of(t):
    """The number of the element that lies at each place of a tensor's memory."""
    return np.arange(t["elements"]).reshape(t["shape"]).transpose(t["layout"]).ravel()


def as_bits(x, kind):
    """Numbers as elements; integers wrap, and are the bits of what is not an integer."""
    return x.astype(kind) if x.dtype.kind == "f" else x.astype(f"<u{kind.itemsize}").view(kind)


def main(folder, *words):
    """Write what is shown of every layer; the exit code. Between commands is a word --."""
    where, programs, faults = folder, [], False
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "bufsize": 2**20}
    try:
        text, numbers = (Path(folder, f"certificate.{k}").read_bytes() for k in ("json", "npz"))
        facts = json.loads(text)
        content = json.dumps({**facts, "seal": ""}).encode() + numbers
        if hashlib.sha256(content).hexdigest() != facts["seal"]:
            raise ValueError("the certificate was changed")
        arrays, cuts = np.load(io.BytesIO(numbers)), [k for k, w in enumerate(words) if w == "--"]
        for a, b in pairwise([-1, *cuts, len(words)]):
            programs.append(subprocess.Popen(words[a + 1 : b], **pipes))
        layers, tensors, kinds = facts["layers"], facts["tensors"], [*TYPES]
        told = [[a[k] for k in ("name", "kernel", "inputs", "outputs")] for a in layers]
        told += [[t["name"], t["elements"], kinds.index(t["dtype"]), *t["place"]] for t in tensors]
        if any(json.loads(program.stdout.readline() or "0") != told for program in programs):
            raise ValueError("the program has other layers or tensors than the certificate")
        for step, each in enumerate(layers):
            each |= {name: arrays[f"{step}.{name}"] for name in each["arrays"]}
            where, layer = each["name"], Layer(programs, step, each, tensors)
            shown = getattr(layer, "judge_" + layer.type)() or EVERY
            if each.get("kind", shown) != shown:
                layer.faults = [f"said to be proven for {each['kind']}" for _ in programs]
            row = {"layer": where, "shown": shown, "probes": layer.probes, "faults": layer.faults}
            print(json.dumps(row), flush=True)
            faults = faults or any(layer.faults)
    except (AttributeError, LookupError, OSError, TypeError, ValueError) as error:
        for program in programs:
            with suppress(OSError):  # what is left is for nobody
                program.stdin.close()
        print(f"{where}: {error}", file=sys.stderr)
        return 2 if isinstance(error, FileNotFoundError | PermissionError) else 1
    return int(faults)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) if len(sys.argv) > 2 else print(__doc__, file=sys.stderr) or 2)
