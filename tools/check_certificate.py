"""Re-check a certificate of `ares prove` with the compiled C; nothing of ARES is imported.

    cc -O2 -std=c11 -ffp-contract=off -IDIR -IDIR/runtime/inc DIR/*.c DIR/runtime/src/*.c -o probe
    python check_certificate.py DIR COMMAND...      such as ./probe, or qemu-arm ./probe

DIR holds the exported C, `probe.c` (it runs single layers on given bytes), `certificate.json` and
`certificate.npz`: what every layer means, in integers. All probes follow from that, here: none can
be left out. Assumed of the C: a sum is affine in codes and in weights, and bounded (N2 of
docs/numerics.md); between two steps of a rescale the code does not change; a maximum is made of
comparisons; what moves codes does not look at them. Exit code: 0 all is as claimed, 1 not, 2 usage.
"""

import json
import subprocess
import sys

import numpy as np

EVERY, ALMOST, BOUND = "every input", "every input but for 2^-64", "bound on paper and samples"
TYPES = {"s8": "<i1", "u8": "<u1", "s16": "<i2", "s32": "<i4", "f32": "<f4"}
SPAN = 2**40  # more than what a rescale makes of any accumulator, on both sides
rng = np.random.Generator(np.random.PCG64(20261130))


class Layer:
    """A layer in the probing process. What the certificate says that it means are attributes."""

    def __init__(self, process, step, facts, tensors):
        vars(self).update(facts)
        self.process, self.fault, self.probes = process, None, 0
        self.sources, self.targets = ([tensors[n] for n in a] for a in (self.inputs, self.outputs))
        if self.kernel:
            self.send(2, step)

    def send(self, *parts):
        """Words, and arrays byte by byte."""
        data = [p.tobytes() if np.ndim(p) else int(p % 2**32).to_bytes(4, "little") for p in parts]
        self.process.stdin.write(b"".join(data))

    def read(self, count, kind):
        """So many elements of what it answers."""
        self.process.stdin.flush()
        return np.frombuffer(self.process.stdout.read(count * np.dtype(kind).itemsize), kind, count)

    def put(self, number, x):
        """An input, in PyTorch's order."""
        source = self.sources[number]
        self.send(6, number, as_bits(memory(source, x), np.dtype(TYPES[source["dtype"]])))

    def run(self, wanted, probe, only=slice(None)):
        """Run it: is its output, or are `only` these elements in PyTorch's order, as wanted?"""
        order = memory(self.targets[0], np.arange(self.targets[0]["elements"]))
        self.send(*((7, 0, 0, order.size, 1) if self.kernel else (9, self.outputs[0])))
        if self.kernel and self.read(1, "<u4"):
            self.fault = self.fault or "its kernel refuses the input"
        found = self.read(order.size, TYPES[self.targets[0]["dtype"]])
        self.compare(wanted, found[np.argsort(order)][only], probe)

    def compare(self, wanted, found, probe):
        """Bit by bit; the first difference is kept."""
        self.probes += 1
        wanted, bits = as_bits(np.ravel(wanted), found.dtype), f"u{found.itemsize}"
        wrong = np.flatnonzero(wanted.view(bits) != found.view(bits))[:1]
        if wrong.size and not self.fault:
            self.fault = f"{probe}: at {wrong}: wanted {wanted[wrong]}, found {found[wrong]}"

    def ask(self, x, probe, y=None):
        """Whether an image [channels, rows, columns] gives what it should, or the image y."""
        if y is None:
            y = self.codes(self.sums(x, self.weight, self.minus, self.outside), self.row)
        for image, strides in ((x, self.strides_in), (y, self.strides_out)):
            places = sum(np.ix_(*map(np.multiply, map(np.arange, image.shape), strides)))
            flat = np.ravel(image)[np.argsort(places, None)]
            self.put(0, flat) if image is x else self.run(flat, probe)

    def packed(self, w):
        """Weights as they lie in memory; zeros fill up."""
        return np.where(self.pack < 0, 0, np.ravel(w)[self.pack]).astype(np.int8)

    def taps(self, image, outside, reduce):
        """What each tap sees at every place of the output, its sources together; -1 is outside."""
        wide = np.pad(image, ((0, 0), (0, 1), (0, 1)), constant_values=outside)
        for i, j in np.ndindex(self.rows.shape[1], self.columns.shape[1]):
            rows = reduce(wide[:, self.rows[:, i]], 2)
            yield i, j, reduce(rows[:, :, self.columns[:, j]], 3)

    def sums(self, x, w, minus, outside):
        """Sums [channels, rows, columns] of codes less `minus`, times weights."""
        total, depth, groups = 0, w.shape[1], len(x) // w.shape[1]
        for i, j, seen in self.taps(x - float(minus), outside - minus, np.sum):  # exact below 2^53
            each = w[:, :, i, j].reshape(groups, -1, depth)
            total = total + each @ seen.reshape(groups, depth, -1)
        return total.astype(np.int64).reshape(len(w), *seen.shape[1:])

    def value(self, acc, row):
        """N3, by a row of constants: (acc * multiplier + offset) / 2^shift, half to even."""
        total, shift = acc * self.multiplier[row] + self.offset[row], self.shift[row]
        low = total >> shift
        rest, half = total - (low << shift), np.int64(1) << (shift - 1)
        return low + ((rest > half) | ((rest == half) & (low & 1 == 1)))

    def codes(self, acc, row):
        """N4 and N5: the code behind the last step that the value reaches."""
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
        lo, hi, image, w = self.lo, self.hi, self.image, self.weight.astype(np.int64)
        self.weight, self.row = w, self.channel_rows + self.place_rows
        few = (np.full(image, lo), np.full(image, hi), *rng.choice([lo, hi], (4, *image)))
        for x in (*few, *rng.integers(lo, hi + 1, (12, *image))):
            self.ask(x, "dense codes")
        if self.pack.size:
            self.send(8, self.pack.size)
            self.compare(self.packed(w), self.read(self.pack.size, "<i1"), "its weights")
        shown = self.steps_by_weights() if self.pack.size else self.steps_by_codes()
        return ALMOST if self.coefficients() and shown else BOUND

    def steps_by_weights(self):
        """All steps, at the place that sees most: other weights make the accumulators."""
        w, minus, n, complete = self.weight, self.minus, len(self.weight), True
        p, q = (int((a >= 0).sum((1, 2)).argmax()) for a in (self.rows, self.columns))
        rows, columns, row = self.rows[p, :, 0], self.columns[q, :, 0], self.row[:, p, q]
        inside = np.broadcast_to(np.logical_and.outer(rows >= 0, columns >= 0), w.shape[1:])
        first, *others = np.flatnonzero(inside)
        near, *_, far = sorted({v - minus for v in range(self.lo, self.hi + 1)} - {0}, key=abs)
        x = np.full(self.image, far + minus)
        x[:: w.shape[1], rows[rows >= 0][0], columns[columns >= 0][0]] = near + minus
        self.ask(x, "what is put for all accumulators")
        ends = [w * (end - minus) for end in (self.lo, self.hi)]
        low, high = (least(*ends).sum((1, 2, 3)) for least in (np.minimum, np.maximum))
        where = np.arange(n) * self.strides_out[0] + np.dot(self.strides_out[1:], [p, q])
        for wanted in self.edges(low, high, row):
            made, times = np.zeros((n, inside.size), int), np.rint(wanted / far).astype(int)
            made[:, first] = (wanted - times * far) // near
            # The sum of (t + k) // n over k < n is t.
            made[:, others] = (times[:, None] + np.arange(len(others))) // max(1, len(others))
            made = np.clip(made, -127, 127)
            acc = made[:, first] * near + made[:, others].sum(1) * far
            complete &= bool(np.all((acc == wanted) | (wanted == low) | (wanted == high)))
            self.send(3, self.pack.size, self.packed(made), 0)
            self.run(self.codes(acc, row), f"accumulators {acc}", where)
        return complete

    def steps_by_codes(self):
        """The same of sums without weights: the codes in a window add up to what is wanted."""
        h, w = (np.maximum(1, (axis >= 0).sum((1, 2))) for axis in (self.rows, self.columns))
        kinds = {(row, h[p], w[q]): (p, q) for (p, q), row in np.ndenumerate(self.place_rows)}
        rows, columns = np.ogrid[: self.image[1], : self.image[2]]
        for (_, height, width), (p, q) in kinds.items():
            number, size = rows % height * width + columns % width, height * width  # each once
            ends = [np.full(len(self.weight), size * (v - self.minus)) for v in (self.lo, self.hi)]
            for wanted in self.edges(*ends, self.row[:, p, q]):
                self.ask(self.minus + (wanted[:, None, None] + number) // size, f"sums {wanted}")
        return True

    def coefficients(self):
        """Small random codes and weights: another affine form escapes with probability 2^-64."""
        weighted, z, w, n = self.pack.size > 0, self.zero, self.weight, len(self.weight)
        ones, goal = np.ones_like(w), 1200 if weighted else 60
        parts = int(np.ceil(self.sums(np.ones(self.image), ones, 0, 0).max() / goal))
        part_of = rng.integers(0, parts, self.image)  # so few codes at once that no sum is limited
        some = np.arange(max(self.lo, z - 1), min(self.hi, z + 1) + 1)
        for part in range(parts):
            most = max(1, self.sums(part_of == part, ones, 0, 0).max())
            # A wrong form is seen so often, Hoeffding's inequality says that it is not limited.
            limited = 2 * np.exp(-(127**2) / (2 * most)) if weighted else most > 127
            seen = (1 - 1 / len(some)) * (2 / 3 if weighted else 1) - limited
            if seen < 0.1:
                return False
            for _ in range(int(np.ceil(-64 / np.log2(1 - seen)))):
                x = np.where(part_of == part, rng.choice(some, self.image), z)
                if weighted:
                    w = rng.integers(-1, 2, w.shape)
                    self.send(3, self.pack.size, self.packed(w), 0)
                # A rescale whose code is the sum of (x - z) w.
                offset = (self.minus - z) * w.sum((1, 2, 3)).astype("<i8") * 2**30 + 2**29
                self.send(4, n, np.full(n, 2**30, "<i4"), offset, np.full(n, 30, "u1"), -128, 127)
                self.ask(x, "sums of small codes", np.clip(self.sums(x, w, z, z), -128, 127))
        return True

    def judge_table(self):
        """Each element is one of the inputs' elements, a constant, or what a table says of it."""
        sizes, tables, source = [s["elements"] for s in self.sources], self.tables, self.source
        labels, (_, count) = np.arange(sum(sizes)), tables.shape
        if not self.kernel:  # the bytes stay where they are, and are right in the new order
            same = np.array_equal(memory(self.targets[0], source), memory(self.sources[0], labels))
            if not same or self.targets[0]["place"] != self.sources[0]["place"]:
                self.fault = "the output is not the input's memory in another order"
            return EVERY
        runs = [rng.integers(0, 2**32, labels.size) for _ in range(9)]
        runs += [runs[0] + code for code in range(count)] or [labels >> 8 * k for k in range(4)]
        for x in runs:
            x = x % count if count else x
            for k, part in enumerate(np.split(x, np.cumsum(sizes)[:-1])):
                self.put(k, part)
            taken = np.append(x, self.fill)[source]
            self.run(tables[self.which, taken] if count else taken, "copies")
        return EVERY

    def judge_pair(self):
        """All pairs of codes, wherever they come first, and random ones everywhere."""
        (one, other), (n0, n1) = self.sources, self.table.shape
        first, second = self.first, self.second  # elements of the inputs that meet
        left, more = np.ones((n1, n0), bool), 8
        while left.any() or more:
            x, y = rng.integers(0, n0, one["elements"]), rng.integers(0, n1, other["elements"])
            more -= not left.any()
            if left.any():
                y[second], x[first] = np.divmod(np.resize(np.flatnonzero(left), first.size), n0)
            left[y[second], x[first]] = False
            self.put(0, x + one["lo"])
            self.put(1, y + other["lo"])
            self.run(self.table[x[first], y[second]], "pairs")
        return EVERY

    def judge_max(self):
        """One large code among small ones at each place of the windows, every code among others."""
        lo, hi, shape = self.lo, self.hi, self.image
        count, pairs = self.rows.shape[1] * self.columns.shape[1], ((lo, hi), (lo, lo + 1))
        channels, rows, columns = np.ogrid[tuple(map(slice, shape))]
        place = (channels + rows * self.columns.shape[1] + columns) % count  # each once in a window
        xs = [np.where(place == r, large, small) for r in range(count) for small, large in pairs]
        some = rng.integers(lo, hi + 1, (hi - lo + 1, *shape))
        xs += [np.where(rng.random(shape) < 0.3, x, code) for code, x in enumerate(some, lo)]
        for x in xs:
            self.ask(x, "maxima", np.max([seen for *_, seen in self.taps(x, lo - 1, np.max)], 0))
        return EVERY

    def judge_quantise(self):
        """Binary32 numbers: all elements see both sides of all their steps, and special numbers."""
        special = np.tile(np.array([np.inf, -np.inf, 0, -0.0, 1e-42], "<f4"), (len(self.steps), 1))
        xs = [self.steps, np.nextafter(self.steps, np.float32(-np.inf)), special]
        xs = np.concatenate(xs, 1)  # the last step is that to what is no number
        at = [np.searchsorted(row, x, "right") for row, x in zip(self.steps, xs, strict=True)]
        codes = np.take_along_axis(self.between, np.stack(at), 1)
        for r in range(xs.shape[1]):
            at = (np.arange(self.own.size) + r) % xs.shape[1]
            self.put(0, xs[self.own, at])
            self.run(codes[self.own, at], "both sides of the steps")
        return EVERY

    def judge_samples(self):
        """Cases whose outputs the float64 model has accepted; what no kernel makes is constant."""
        for case, wanted in enumerate(self.wanted):
            for k in range(len(self.sources)):
                self.put(k, getattr(self, f"given{k}")[case])
            self.run(wanted, f"case {case}")
        return BOUND if self.kernel or self.sources else EVERY


def memory(tensor, x):
    """The elements as they lie in memory."""
    return np.reshape(x, tensor["shape"]).transpose(tensor["layout"]).ravel()


def as_bits(x, kind):
    """Numbers as elements; integers wrap, and are the bits of what is not an integer."""
    return x.astype(kind) if x.dtype.kind == "f" else x.astype(f"<u{kind.itemsize}").view(kind)


def check(certificate, arrays, command):
    """Write what is shown of every layer; whether all is as claimed."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    layers, tensors, right, kinds = certificate["layers"], certificate["tensors"], True, [*TYPES]
    told = [[a[k] for k in ("name", "kernel", "inputs", "outputs")] for a in layers]
    told += [[t["name"], t["elements"], kinds.index(t["dtype"]), *t["place"]] for t in tensors]
    if json.loads(process.stdout.readline()) != told:
        sys.exit("the program has other layers or tensors than the certificate")
    for step, facts in enumerate(layers):
        facts |= {name: arrays[f"{step}.{name}"] for name in facts["arrays"]}
        layer = Layer(process, step, facts, tensors)
        shown = getattr(layer, "judge_" + layer.type)()
        if facts.get("kind", shown) != shown:
            layer.fault = layer.fault or f"said to be proven for {facts['kind']}"
        row = {"layer": layer.name, "shown": shown, "probes": layer.probes, "fault": layer.fault}
        print(json.dumps(row), flush=True)
        right = right and not layer.fault
    return right


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(print(__doc__, file=sys.stderr) or 2)
    names = [f"{sys.argv[1]}/certificate.{kind}" for kind in ("json", "npz")]
    with open(names[0]) as text, np.load(names[1]) as numbers:
        sys.exit(0 if check(json.load(text), numbers, sys.argv[2:]) else 1)
