"""`draw`: the recipe of a seed.

A graph begins with one to three inputs, each through a quantiser, and grows by steps. A step takes codes that are there
and ends in codes again: layers with what people put behind them, then a quantiser of the size of what comes. Sizes are
estimated on the way, in powers of two and rational factors, so that no run is needed to choose scales. At the end all
that nobody reads is put out, some of it behind a last layer without a quantiser.
"""

from __future__ import annotations

from dataclasses import replace

from ares.fuzzer.draws import Draws
from ares.fuzzer.laying import Laying, Value
from ares.fuzzer.recipe import CASES, InputSpec, Recipe, RecipeError
from ares.fuzzer.steps import HEADS, STEPS, Step

_MOST_OUTPUTS = 4
_ATTEMPTS = 40
_FIRST_ATTEMPTS = 4


def draw(seed: int) -> Recipe:
    """The recipe of a seed, the same on every machine."""
    draws = Draws(f"ares fuzz/{seed}/draw")
    laying = Laying(draws)
    specs = _inputs(draws)
    for spec in specs:
        laying.add_input(spec)
    for number, spec in enumerate(specs):
        _begin(laying, number, spec)
    length = draws.weighted(((1, 30), (2, 30), (3, 20), (4, 10), (5, 5), (8, 3)))
    steps = int(_first_step(laying, seed))
    for _ in range(_ATTEMPTS):
        if steps == length:
            break
        steps += _step(laying)
    outputs = _end(laying)
    return Recipe(seed, tuple(specs), tuple(laying.nodes), outputs, cases=CASES)


def _inputs(draws: Draws) -> list[InputSpec]:
    """Shapes that belong together often enough to be joined."""
    first = _input(draws)
    specs = [first]
    more = range(draws.weighted(((0, 80), (1, 16), (2, 4))))
    specs += [_another(draws, first) for _ in more]
    # One table of ids for all: a second one is other ids of the same table.
    tables = [spec.ids for spec in specs if spec.ids]
    return [replace(spec, ids=tables[0]) if spec.ids else spec for spec in specs]


def _another(draws: Draws, first: InputSpec) -> InputSpec:
    return replace(first, amplitude=_amplitude(draws)) if draws.chance(60) else _input(draws)


def _input(draws: Draws) -> InputSpec:
    kind = draws.weighted(
        (("image", 50), ("sequence", 18), ("tokens", 18), ("row", 10), ("ids", 6))
    )
    if kind == "ids":
        return InputSpec((1, draws.between(1, 7)), ids=draws.choice((2, 5, 31, 130)))
    channels = draws.weighted(((1, 25), (2, 20), (3, 25), (4, 12), (5, 8), (8, 6), (17, 4)))
    size = _amplitude(draws)
    if kind == "image":
        sides = (_side(draws), _side(draws))
        if channels > 5:
            sides = (min(sides[0], 5), min(sides[1], 6))
        return InputSpec((1, channels, *sides), amplitude=size)
    if kind == "sequence":
        return InputSpec((1, channels, draws.between(1, 21)), amplitude=size)
    if kind == "tokens":
        width = draws.choice((1, 2, 4, 6, 8, 12, 16))
        return InputSpec((1, draws.between(1, 9), width), amplitude=size)
    return InputSpec(
        (1, draws.weighted(((1, 5), (3, 20), (16, 20), (37, 15), (64, 10)))), amplitude=size
    )


def _side(draws: Draws) -> int:
    return draws.weighted(
        ((1, 8), (2, 6), (3, 12), (4, 12), (5, 18), (6, 12), (7, 16), (9, 10), (13, 6))
    )


def _amplitude(draws: Draws) -> float:
    """Mostly about 1; scales of the first codes reach from 2^-20 to 2^4."""
    if draws.chance(70):
        return draws.power(-1, 2) * draws.mantissa()
    return draws.power(-13, 11) * draws.mantissa()


def _begin(laying: Laying, number: int, spec: InputSpec) -> None:
    """Codes of an input."""
    if spec.ids:
        dim = laying.draws.choice((1, 2, 4, 6, 8))
        size = laying.draws.power(-3, 2)
        laying.add(
            "embedding", (number,), Value((*spec.shape, dim), size * 0.58), dim=dim, size=size
        )
        laying.quantise()
        return
    value = number
    if laying.draws.chance(12):
        # What people do to an input first: normalise it, or look at its positive part.
        laying.scale_shift(value)
        value = laying.last
    laying.quantise(value)


def _first_step(laying: Laying, seed: int) -> bool:
    """A step of the seed's class: every kind of step has its share of all seeds, also those that are seldom drawn."""
    step, _ = STEPS[seed % len(STEPS)]
    codes = [i for i, value in enumerate(laying.values) if value.codes]
    return any(_tried(laying, step, chosen) for chosen in codes for _ in range(_FIRST_ATTEMPTS))


def _step(laying: Laying) -> bool:
    """One more step, where what was drawn fits; False where nothing was laid."""
    draws = laying.draws
    codes = [i for i, value in enumerate(laying.values) if value.codes]
    unread = [i for i in codes if not laying.is_read(i)]
    chosen = draws.choice(unread) if draws.chance(75) else draws.choice(codes)
    step = draws.weighted(STEPS)
    return _tried(laying, step, chosen)


def _tried(laying: Laying, step: Step, chosen: int) -> bool:
    """Whether a step could be laid; else nothing of it is left."""
    before = laying.mark()
    try:
        if step(laying, chosen):
            return True
    except RecipeError:
        pass  # its shapes do not fit: what was drawn is no model
    laying.back_to(before)
    return False


def _end(laying: Laying) -> tuple[int, ...]:
    """What is put out: all that nobody reads, or the last of it."""
    draws = laying.draws
    ends = [i for i, value in enumerate(laying.values) if value.codes and not laying.is_read(i)]
    outputs = ends[-_MOST_OUTPUTS:]
    if draws.chance(35):
        kept = outputs if draws.chance(30) else outputs[:-1]
        if _tried(laying, draws.choice(HEADS), outputs[-1]):
            outputs = [*kept, laying.last]
    if draws.chance(6):
        # A value that others read too.
        codes = [i for i, value in enumerate(laying.values) if value.codes and i not in outputs]
        outputs += codes[:1]
    return tuple(outputs)
