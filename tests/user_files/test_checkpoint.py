"""`--state-dict`: parameters as data. Nothing of a file is run, and what does not fit is named in one line."""

from __future__ import annotations

import io
import os
import pickle
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import brevitas.config
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ares.user_files import UserInputError, unpickle
from ares.user_files.checkpoint import load_state_dict
from ares.zoo.network_file import load_model
from tests.checker.models import model_source, refused, trained_state, write
from tests.cli.outcome import Outcome

Run = Callable[..., Outcome]
State = dict[str, torch.Tensor]
ROOT = Path(__file__).resolve().parents[2]
# What the child that reads pickles is for, and that it is used: test_costly_states.py.
pytestmark = pytest.mark.usefixtures("unpickled_here")


@pytest.fixture(name="model", scope="module")
def model_fixture(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, State]:
    path = write(tmp_path_factory.mktemp("model"), model_source())
    return path, trained_state(path)


def _renamed(state: State, prefix: str) -> State:
    return {f"{prefix}{key}": value for key, value in state.items()}


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth", ".ckpt", ""])
def test_a_saved_state_calibrates_the_model(
    suffix: str, model: tuple[Path, State], tmp_path: Path, check: Run
) -> None:
    path, state = model
    saved = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(state, saved)
    else:
        torch.save(state, saved)
    assert "never calibrated" in check("--model-file", path).out.replace("\n", " ")
    outcome = check("--model-file", path, "--state-dict", saved)
    assert (outcome.code, outcome.err) == (0, "")
    assert "never calibrated" not in outcome.out.replace("\n", " ")


def test_old_files_of_torch_are_read(model: tuple[Path, State], tmp_path: Path, check: Run) -> None:
    path, state = model
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert check("--model-file", path, "--state-dict", tmp_path / "old.pt").code == 0


# What training scripts save: the model's state among other things, or under other names.

LIGHTNING = {
    "epoch": 3,
    "global_step": 120,
    "pytorch-lightning_version": "2.4.0",
    "loops": {"fit_loop": {"state_dict": {}, "counter": [1, 2]}},
    "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.5), "last": "a.ckpt"}},
    "optimizer_states": [{"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": []}],
    "lr_schedulers": [],
    "hyper_parameters": {"width": 4, "act": "relu", "dims": (1, 2)},
}
CHECKPOINTS: dict[str, tuple[Callable[[State], Any], tuple[str, ...]]] = {
    "plain": (lambda s: s, ()),
    "lightning": (
        lambda s: {**LIGHTNING, "state_dict": _renamed(s, "model.")},
        (
            "the entry 'state_dict' is read, ignored: epoch, global_step, pytorch-lightning_version, loops, "
            "callbacks, optimizer_states, lr_schedulers, hyper_parameters",
            "'model.' is taken off every name, and all of them fit the model",
        ),
    ),
    "model": (
        lambda s: {"model": s, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}},
        ("the entry 'model' is read, ignored: optimizer",),
    ),
    "model_state_dict": (
        lambda s: {"loss": 0.25, "model_state_dict": s},
        ("the entry 'model_state_dict' is read, ignored: loss",),
    ),
    "many": (
        lambda s: {3: "three", "state_dict": s, **{f"x{i}": i for i in range(9)}},
        ("ignored: int, x0, x1, x2, x3, x4, x5, x6, ...",),
    ),
    "data_parallel": (lambda s: _renamed(s, "module."), ("'module.' is taken off",)),
    "compiled": (lambda s: _renamed(s, "_orig_mod."), ("'_orig_mod.' is taken off",)),
    "wrapper": (lambda s: _renamed(s, "model."), ("'model.' is taken off",)),
    "combined": (
        lambda s: {"model": _renamed(s, "module._orig_mod.model.")},
        ("the entry 'model' is read", "'module._orig_mod.model.' is taken off"),
    ),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_checkpoints_of_training_scripts(
    name: str, model: tuple[Path, State], tmp_path: Path
) -> None:
    """Every parameter is the trained one, and what was done for that is said, one line each."""
    path, state = model
    make, said = CHECKPOINTS[name]
    target = load_model(path, "Model")
    saved = tmp_path / "last.ckpt"
    torch.save(make(state), saved)
    notes = load_state_dict(target, saved)
    loaded = target.state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())
    assert len(notes) == len(said)
    for note, part in zip(notes, said, strict=True):
        assert note.startswith(f"{saved}: ")
        assert part in note
        assert len(note.splitlines()) == 1


def test_prefixes_in_safetensors(model: tuple[Path, State], tmp_path: Path) -> None:
    save_file(_renamed(model[1], "model.module."), tmp_path / "s.safetensors")
    (note,) = load_state_dict(load_model(model[0], "Model"), tmp_path / "s.safetensors")
    assert "'model.module.' is taken off every name" in note


@pytest.mark.parametrize("prefix", ["", "model.", "module.model."])
def test_a_prefix_that_the_model_has_too_stays(prefix: str, tmp_path: Path) -> None:
    """A wrapper with a member `model`: its own names start so."""
    wrapper = nn.ModuleDict({"model": nn.ModuleDict({"model": nn.Linear(2, 3)})})
    state = {key: torch.full_like(value, 5.0) for key, value in wrapper.state_dict().items()}
    torch.save(_renamed(state, prefix), tmp_path / "s.pt")
    notes = load_state_dict(wrapper, tmp_path / "s.pt")
    assert len(notes) == bool(prefix)
    assert all(bool((value == 5.0).all()) for value in wrapper.state_dict().values())


def test_the_command_reads_a_checkpoint(
    model: tuple[Path, State], tmp_path: Path, check: Run
) -> None:
    saved = tmp_path / "last.ckpt"
    torch.save({**LIGHTNING, "state_dict": _renamed(model[1], "model.")}, saved)
    outcome = check("--model-file", model[0], "--state-dict", saved)
    assert outcome.code == 0
    assert "never calibrated" not in outcome.out.replace("\n", " ")


def _with(state: State, **changed: torch.Tensor) -> State:
    return {**state, **{key.replace("__", "."): value for key, value in changed.items()}}


BAD_STATES: dict[str, tuple[Callable[[State], Any], tuple[str, ...]]] = {
    "missing": (
        lambda s: {k: v for k, v in s.items() if not k.startswith("fc.")},
        ("does not fit the model", "2 keys missing (fc.bias, fc.weight)", "this very class"),
    ),
    "unexpected": (
        lambda s: _with(s, tail__weight=torch.ones(1)),
        ("1 key unexpected (tail.weight)",),
    ),
    "many_unexpected": (
        lambda s: {**s, **{f"z{i}": torch.ones(1) for i in range(500)}},
        ("500 keys unexpected (z0, z1, z10, ...)",),
    ),
    "shape": (
        lambda s: _with(s, fc__weight=torch.ones(9, 256)),
        ("fc.weight has shape [9, 256], the model's has [10, 256]",),
    ),
    "prefix_but_not_all": (
        lambda s: {**_renamed(s, "module."), "module.tail.weight": torch.ones(1)},
        ("does not fit the model with 'module.' taken off", "1 key unexpected (tail.weight)"),
    ),
    "prefix_of_some": (
        lambda s: {**_renamed(s, "model."), "loss.weight": torch.ones(1)},
        ("keys unexpected (loss.weight, model.conv.bias", "this very class"),
    ),
    "prefix_and_shape": (
        lambda s: _renamed(_with(s, fc__weight=torch.ones(9, 256)), "model._orig_mod."),
        ("'model._orig_mod.' taken off", "fc.weight has shape [9, 256]"),
    ),
    "other_prefix": (
        lambda s: _renamed(s, "net."),
        ("does not fit the model: ", "keys missing (conv.bias", "keys unexpected (net.conv.bias"),
    ),
    "uncalibrated": (
        lambda s: {k: v for k, v in s.items() if "_impl." not in k},
        ("2 keys missing", "calibrate or train the model before its state is saved"),
    ),
    "nested_elsewhere": (
        lambda s: {"epoch": 3, "weights": s},
        ("is no state dict, it holds epoch, weights", "save model.state_dict() alone"),
    ),
    "nested_twice": (
        lambda s: {"model": {"state_dict": s}},
        ("is no state dict, it holds model",),
    ),
    "nested_empty": (
        lambda s: {"state_dict": {}, "optimizer": {}},
        ("is no state dict, it holds state_dict, optimizer",),
    ),
    "nested_two": (
        lambda s: {"state_dict": s, "model": s},
        ("holds 2 state dicts (state_dict, model)", "the one that you mean"),
    ),
    "nested_nan": (
        lambda s: {"model": _renamed(_with(s, fc__bias=torch.full((10,), torch.nan)), "module.")},
        ("fc.bias holds values that are not finite",),
    ),
    "list": (lambda s: list(s.values()), ("is no state dict, it holds list",)),
    "nan": (
        lambda s: _with(s, fc__bias=torch.full((10,), torch.nan)),
        ("fc.bias holds values that are not finite",),
    ),
    "infinite": (
        lambda s: _with(s, conv__weight=torch.full((4, 1, 3, 3), torch.inf)),
        ("conv.weight holds values that are not finite",),
    ),
    "integers": (
        lambda s: _with(s, fc__bias=torch.ones(10, dtype=torch.int32)),
        ("fc.bias is int32, the model's is float32",),
    ),
    "complex": (
        lambda s: _with(s, fc__bias=torch.ones(10, dtype=torch.complex64)),
        ("fc.bias is complex64",),
    ),
    "sparse": (
        lambda s: _with(s, fc__weight=torch.ones(10, 256).to_sparse()),
        ("fc.weight is no ordinary tensor",),
    ),
    "expanded": (
        lambda s: _with(s, fc__weight=torch.ones(1).expand(2**40)),
        ("no size of a parameter",),
    ),
}


@pytest.mark.parametrize("name", BAD_STATES)
def test_a_state_that_does_not_fit(
    name: str, model: tuple[Path, State], tmp_path: Path, check: Run
) -> None:
    path, state = model
    spoil, parts = BAD_STATES[name]
    saved = tmp_path / f"{name}.pt"
    torch.save(spoil(state), saved)
    refused(check("--model-file", path, "--state-dict", saved), str(saved), *parts)


def test_a_missing_scale_is_named_although_brevitas_was_told_to_forgive_it(
    model: tuple[Path, State], tmp_path: Path, check: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Brevitas' own functions leave it when they fail."""
    monkeypatch.setattr("brevitas.config.IGNORE_MISSING_KEYS", True)
    test_a_state_that_does_not_fit("uncalibrated", model, tmp_path, check)
    assert brevitas.config.IGNORE_MISSING_KEYS


class Evil:
    """Unpickled carelessly, it leaves a file behind."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (self.mark,)


@pytest.mark.parametrize("kind", ["torch", "pickle", "module", "renamed", "entry"])
def test_code_is_never_run(
    kind: str, model: tuple[Path, State], tmp_path: Path, check: Run
) -> None:
    path, state = model
    mark, saved = tmp_path / "mark", tmp_path / "evil.pt"
    evil = {**state, "x": Evil(str(mark))}
    if kind == "torch":
        torch.save(evil, saved)
    elif kind == "entry":
        torch.save({"state_dict": state, "hyper_parameters": Evil(str(mark))}, saved)
    elif kind == "module":
        torch.save(nn.Linear(2, 2), saved)
    else:
        saved = saved.with_suffix(".safetensors") if kind == "renamed" else saved
        saved.write_bytes(pickle.dumps(evil))
    outcome = check("--model-file", path, "--state-dict", saved)
    refused(outcome, str(saved), "safetensors")
    if kind in ("torch", "module", "entry"):
        assert "without running code" in outcome.err
        assert "safetensors.torch.save_file" in outcome.err
    assert not mark.exists()


def _zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
        archive.writestr("archive/data/0", bytes(50_000_000))


def test_files_that_are_none(model: tuple[Path, State], tmp_path: Path, check: Run) -> None:
    path, _ = model
    bomb, empty, text = tmp_path / "bomb.pt", tmp_path / "empty.pt", tmp_path / "text.safetensors"
    _zip_bomb(bomb)
    empty.touch()
    text.write_text("no tensors")
    huge = tmp_path / "huge.safetensors"
    huge.write_bytes((2**62).to_bytes(8, "little") + b"{}")
    nested = tmp_path / "nested.safetensors"
    header = b'{"__metadata__":' + b"[" * 100_000
    nested.write_bytes(len(header).to_bytes(8, "little") + header)
    sparse = tmp_path / "sparse.pt"
    with sparse.open("wb") as file:
        file.truncate(2**33 + 1)
    for saved, part in (
        (tmp_path / "absent.pt", "no such file"),
        (tmp_path, "is a directory"),
        (bomb, "unpacks to 5000"),
        (empty, "is empty"),
        (text, "not a safetensors file"),
        (huge, "not a safetensors file"),
        (nested, "not a safetensors file"),
        (sparse, "at most"),
    ):
        refused(check("--model-file", path, "--state-dict", saved), str(saved), part)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_damaged_files(suffix: str, model: tuple[Path, State], tmp_path: Path) -> None:
    """Cut off anywhere, or with bytes changed: read all the same, or one line. Never anything else."""
    path, state = model
    target = load_model(path, "Model").eval()
    saved = tmp_path / f"state{suffix}"
    if suffix == ".pt":
        torch.save(state, saved)
    else:
        save_file(state, saved)
    whole = saved.read_bytes()
    source = random.Random(5)
    refusals = []
    for turn in range(150):
        data = bytearray(whole)
        if turn % 2:
            data = data[: source.randrange(len(data))]
        for _ in range(source.randrange(1, 4)):
            if data:
                # Headers are where damage does most.
                place = source.randrange(min(len(data), 4000))
                data[place] = source.randrange(256)
        saved.write_bytes(data)
        try:
            load_state_dict(target, saved)
        except UserInputError as error:
            refusals.append(str(error))
    assert len(refusals) > 60
    assert all(str(saved) in line and "\n" not in line for line in refusals)


def test_pickles_of_other_shapes(model: tuple[Path, State], tmp_path: Path, check: Run) -> None:
    path, _ = model
    saved = tmp_path / "state.pt"
    deep: Any = ()
    for _ in range(300):
        deep = (deep,)
    for content in (
        3,
        {"a": 1},
        {1: torch.ones(1)},
        "text",
        None,
        {deep: 1},
        {"model": torch.ones(2), "a": 1},
    ):
        buffer = io.BytesIO()
        torch.save(content, buffer)
        saved.write_bytes(buffer.getvalue())
        refused(check("--model-file", path, "--state-dict", saved), "is no state dict")


# The stored state of a network of the zoo holds scales only; its weights are made from its name.


def test_the_zoos_own_state(tmp_path: Path, extract: Run) -> None:
    name = "test_42_llama_minimal"
    copied = tmp_path / "renamed.py"
    shutil.copy(ROOT / "tests" / "test_networks" / f"{name}.py", copied)
    state = shutil.copy(ROOT / "golden" / name / "state.safetensors", tmp_path / "s.safetensors")
    outcome = extract("--model-file", copied, "--state-dict", state, "-o", tmp_path / "graph")
    assert (outcome.code, outcome.err) == (0, "")
    assert extract("--test-network", name, "-o", tmp_path / "stored").code == 0

    from ares.ops import read_graph

    graphs = [read_graph((tmp_path / file).read_bytes()) for file in ("graph", "stored")]
    weights = [
        {op.name: op.weight.tolist() for op in graph.operations if hasattr(op, "weight")}
        for graph in graphs
    ]
    assert weights[0] == weights[1]
    assert weights[0]


def test_the_state_of_another_network(
    model: tuple[Path, State], tmp_path: Path, check: Run
) -> None:
    state = ROOT / "golden" / "test_42_llama_minimal" / "state.safetensors"
    outcome = check("--model-file", model[0], "--state-dict", state)
    refused(outcome, str(state), "does not fit the model in", "lacks scale")


@pytest.mark.parametrize("name", ["two\nlines", "next\x85line", "para\u2029graph", "bell\x07"])
def test_names_in_a_file_stay_on_one_line(name: str, tmp_path: Path) -> None:
    """Found by mutation: what `str.splitlines` takes for the end of a line is more than a newline."""
    torch.save(
        {"weight": torch.zeros(1, 1), "bias": torch.zeros(1), name: torch.zeros(1)},
        tmp_path / "s.pt",
    )
    with pytest.raises(UserInputError, match=r"1 key unexpected \(") as caught:
        load_state_dict(nn.Linear(1, 1), tmp_path / "s.pt")
    assert len(str(caught.value).splitlines()) == 1
    assert repr(name)[1:-1] in str(caught.value)


def test_a_fault_of_our_own_walk_is_not_called_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"weight": torch.zeros(1)}, path)
    monkeypatch.setattr(unpickle, "_described", lambda *_: {}["ours"])
    with pytest.raises(KeyError, match="ours"):
        unpickle.unpack(path, tmp_path, 100)
    assert not (tmp_path / unpickle.ANSWER).exists()
