"""What failing targets share, and no exact one has."""

from __future__ import annotations

from ares.pipeline.matrix import Matrix
from ares.toolchain import TARGETS
from ares.verdict import Outcome, Verdict, shared_facets

BIG = {"byte order": "big-endian", "char": "signed char", "compiler": "built by gcc"}
LITTLE = {**BIG, "byte order": "little-endian"}
CLANG = {**BIG, "compiler": "built by clang"}


def test_the_one_fact_that_tells_them_apart() -> None:
    assert shared_facets([BIG, CLANG], [LITTLE]) == ["big-endian"]


def test_several_facts_come_in_the_order_of_their_kinds() -> None:
    other = {"byte order": "little-endian", "char": "unsigned char", "compiler": "built by gcc"}
    assert shared_facets([BIG], [other]) == ["big-endian", "signed char"]


def test_a_fact_of_one_exact_target_is_no_reason() -> None:
    assert shared_facets([BIG], [LITTLE, CLANG]) == []
    assert shared_facets([BIG], [BIG]) == []


def test_a_fact_of_some_failing_targets_only_is_no_reason() -> None:
    unlike = {"byte order": "little-endian", "char": "signed char", "compiler": "built by zig"}
    assert shared_facets([BIG, unlike], [{**LITTLE, "compiler": "built by tcc"}]) == []


def test_without_both_sides_there_is_nothing_to_say() -> None:
    assert shared_facets([], [BIG]) == []
    assert shared_facets([BIG], []) == []
    assert shared_facets([], []) == []


def test_targets_that_lack_a_kind_do_not_share_it() -> None:
    assert shared_facets([BIG, {"char": "signed char"}], [{"char": "unsigned char"}]) == [
        "signed char"
    ]


def _matrix(fails: dict[str, Outcome], network: str = "net") -> Matrix:
    verdicts = [
        Verdict(network, target.stage, fails.get(target.name, Outcome.PASS)) for target in TARGETS
    ]
    return Matrix((Verdict(network, "reference", Outcome.FAIL), *verdicts), 1.0, TARGETS)


def test_a_fault_of_byte_order_is_found_among_all_targets() -> None:
    big = [target.name for target in TARGETS if target.machine.byte_order == "big"]
    assert len(big) > 2
    assert _matrix(dict.fromkeys(big, Outcome.FAIL)).patterns == {"net": ("big-endian",)}


def test_what_was_not_compared_neither_proves_nor_disproves() -> None:
    """Big-endian targets that did not run, or failed as expected, say nothing."""
    big = [target.name for target in TARGETS if target.machine.byte_order == "big"]
    silent = (Outcome.NOT_RUN, Outcome.LEFT_OUT, Outcome.EXPECTED)
    outcomes = {name: silent[i % 3] for i, name in enumerate(big)}
    outcomes[big[0]] = outcomes[big[-1]] = Outcome.FAIL
    assert "big-endian" in _matrix(outcomes).patterns["net"]
    little = next(target.name for target in TARGETS if target.machine.byte_order == "little")
    assert "net" not in _matrix({**outcomes, little: Outcome.FAIL}).patterns


def test_a_network_that_fails_everywhere_or_nowhere_has_no_pattern() -> None:
    assert _matrix({}).patterns == {}
    assert _matrix({target.name: Outcome.FAIL for target in TARGETS}).patterns == {}


def test_a_fault_of_one_compiler_is_found() -> None:
    zig = {target.name: Outcome.FAIL for target in TARGETS if target.family == "zig"}
    assert _matrix(zig).patterns == {"net": ("built by zig",)}
