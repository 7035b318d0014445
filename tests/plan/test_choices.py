"""Other plans of the same integers: each valid, drawn from its seed alone, and the one that ships untouched."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ares.emit import emit
from ares.ir import Composite, Graph
from ares.plan import SHIPPED, Choices, Plan, Share, Space, drawn_choices, plan
from ares.plan.ordering import reordered
from tests.plan.choosing import SHAPE, add, every_choice, lookup, tensor
from tests.plan.memory import check_memory
from tests.plan.test_plan import graphs

DETERMINED = settings(derandomize=True, deadline=None, max_examples=60, database=None)
FIELDS = [field.name for field in fields(Choices)[1:]]


def _one(field: str, seed: int) -> Choices:
    value = True if getattr(SHIPPED, field) is False else Share.NONE
    return replace(Choices(seed), **{field: value})


# --- any Graph


@DETERMINED
@given(graphs(), st.integers(0, 2**64 - 1), st.sampled_from([0, 16, 64]))
def test_every_drawn_plan_keeps_what_is_needed(graph: Graph, seed: int, guard: int) -> None:
    planned = plan(graph, guard, drawn_choices(seed))
    check_memory(planned)
    assert planned.arena_bytes >= planned.arena_bound
    assert {name for step in planned.steps for name in step.outputs} >= set(graph.outputs)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("field", FIELDS)
def test_each_choice_alone_is_a_plan(field: str, seed: int) -> None:
    check_memory(plan(every_choice(), 0, _one(field, seed)))


# --- what ships


@pytest.mark.parametrize("field", FIELDS)
def test_each_choice_changes_the_c(field: str) -> None:
    """Else comparing would compare nothing."""
    shipped = emit(plan(every_choice())).files
    others = [emit(plan(every_choice(), 0, _one(field, seed))).files for seed in range(8)]
    assert any(other != shipped for other in others)


def test_the_seed_alone_changes_nothing() -> None:
    shipped = emit(plan(every_choice())).files
    assert emit(plan(every_choice(), 0, Choices(seed=12345))).files == shipped


def test_names_decide_nothing_about_memory() -> None:
    """Two buffers of one size and one lifetime: what is written first lies first, whatever it is called."""
    places = []
    for first, second in (("p", "q"), ("q", "p")):
        operations = [lookup(first, "x"), lookup(second, "x"), add("sum", first, second)]
        tensors = [tensor(name, SHAPE) for name in ("x", first, second, "sum", "end")]
        graph = Graph(
            "net", tuple(tensors), (*operations, lookup("end", "sum")), ("x",), ("end",)
        ).validate()
        planned = plan(graph)
        places.append([planned.tensor(name).position for name in (first, second, "sum")])
    assert places[0] == places[1]


# --- what a seed draws


def test_fields_draw_for_themselves() -> None:
    """What one field draws stays as it is when others are put back: a failure can be narrowed down."""
    whole = Choices(7, order=True, layouts=True, in_place=Share.SOME, folded=Share.SOME)
    alone = {part._changed().popitem()[0]: part for part in whole.alone()}
    assert set(alone) == {"order", "layouts", "in_place", "folded"}
    for number in range(50):
        assert whole.takes("in_place", number) == alone["in_place"].takes("in_place", number)
        assert whole.pick("order", number, 9) == alone["order"].pick("order", number, 9)


def test_some_are_some() -> None:
    choices = Choices(3, in_place=Share.SOME, folded=Share.NONE)
    taken = [choices.takes("in_place", number) for number in range(200)]
    assert 60 < sum(taken) < 140
    assert not any(choices.takes("folded", number) for number in range(9))
    assert all(choices.takes("callers", number) for number in range(9))


def test_seeds_draw_everything() -> None:
    drawn = [drawn_choices(seed) for seed in range(200)]
    for field in FIELDS:
        values = [getattr(each, field) for each in drawn]
        expected = {False, True} if getattr(SHIPPED, field) is False else set(Share)
        assert set(values) == expected
        assert 60 < values.count(getattr(SHIPPED, field)) < 140
    assert drawn_choices(5) == drawn_choices(5) != drawn_choices(6)


def test_what_is_said_of_it() -> None:
    assert str(SHIPPED) == "seed 0: as shipped"
    assert str(Choices(7, order=True, in_place=Share.NONE)) == "seed 7: order, in_place=none"


# --- orders


def test_orders() -> None:
    """Both branches come first in some order, the composite stays together, and the members' order is the Graph's."""
    graph = every_choice()
    orders = set()
    for seed in range(30):
        other = reordered(graph, Choices(seed, order=True))
        names = [operation.name for operation in other.operations]
        assert names[names.index("b") + 1] == "c"
        orders.add(tuple(names))
    assert len(orders) > 5
    assert {order[0] for order in orders} == {"a", "b"}
    assert reordered(graph, SHIPPED) is graph


def test_members_of_a_composite_in_another_order() -> None:
    operations = [lookup("a", "x"), lookup("b", "x"), add("sum", "a", "b")]
    tensors = tuple(tensor(name, SHAPE) for name in ("x", "a", "b", "sum"))
    parts = Composite("part", "OP_MHSA", "Part", ("a", "b", "sum"))
    graph = Graph("net", tensors, tuple(operations), ("x",), ("sum",), (parts,)).validate()
    seen = {reordered(graph, Choices(seed, order=True)).composites[0].members for seed in range(9)}
    assert seen == {("a", "b", "sum"), ("b", "a", "sum")}


# --- each field does what it says


def _planned(choices: Choices) -> Plan:
    return plan(every_choice(), 0, choices)


def test_nothing_in_place() -> None:
    shared = _positions(_planned(Choices(callers=Share.NONE)), "sum", "flat", "end")
    assert len(set(shared)) == 1
    planned = _planned(Choices(in_place=Share.NONE, callers=Share.NONE))
    places = [(step.inputs, step.outputs) for step in planned.steps if step.call is not None]
    for inputs, outputs in places:
        for name in inputs:
            same = planned.tensor(name).position == planned.tensor(outputs[0]).position
            assert not same or planned.tensor(name).space is Space.INPUT


def test_no_output_in_the_callers_buffer() -> None:
    assert any(tensor.space is Space.OUTPUT for tensor in _planned(SHIPPED).tensors)
    planned = _planned(Choices(callers=Share.NONE))
    assert not any(tensor.space is Space.OUTPUT for tensor in planned.tensors)


def test_no_pad_folded() -> None:
    assert any(step.folded_into for step in _planned(SHIPPED).steps)
    assert not any(step.folded_into for step in _planned(Choices(folded=Share.NONE)).steps)


def test_no_aliases() -> None:
    """Of a flat view of what lies as the view has it, a copy."""
    (free,) = [step for step in _planned(SHIPPED).steps if step.layer == "flat"]
    assert free.call is None
    (copied,) = [s for s in _planned(Choices(aliases=Share.NONE)).steps if s.layer == "flat"]
    assert copied.call is not None
    assert copied.call.function == "ares_permute"


def test_a_convolution_by_copies() -> None:
    found = set()
    for seed in range(12):
        planned = _planned(Choices(seed, calls=True))
        (call,) = [step.call for step in planned.steps if step.layer == "conv"]
        assert call is not None
        found.add(dict(dict(call.params.fields)["conv"].fields)["in_place"])
    assert found == {False, True}


def _positions(planned: Plan, *names: str) -> list[int]:
    return [planned.tensor(name).position for name in names]
