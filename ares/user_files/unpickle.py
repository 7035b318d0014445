"""A program of its own that reads what `torch.save` wrote: `python -P unpickle.py FILE MOST MEMORY SECONDS`.

torch's restricted unpickler runs no code of the file, but the file can have it compute without end, or fill the memory.
So this runs in a child process, in an empty folder, with limits that are set when torch is there, which itself needs
more than most files. It leaves in that folder what `ares.user_files.stored` reads:

- `answer.json`: every tensor of the state dict, its shape and its type; or why there is none;
- `tensors.bin`: their elements, one tensor after the other, as long as all together are at most MOST bytes.

Nothing of ARES is imported, so that it starts alike from a checkout, a wheel and the doors in `tools/`.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

ANSWER = "answer.json"
TENSORS = "tensors.bin"
MOST_TENSORS = 50_000
LARGEST_ANSWER = 2**23
_NAMED_ENTRIES = 8
_LONGEST_NAME = 200
_LONGEST_ERROR = 2000
# The entry of a checkpoint that holds the state dict, as Lightning and training scripts call it.
_STATES = ("state_dict", "model_state_dict", "model")


def main(arguments: list[str]) -> None:
    """Read FILE, and leave the answer in the current folder."""
    path, most, memory, seconds = arguments
    torch.set_num_threads(1)
    _limit(int(memory), int(seconds), int(most) + LARGEST_ANSWER)
    unpack(Path(path), Path.cwd(), int(most))
    # A file with a million objects takes as long to throw away as to read.
    os._exit(0)


def _limit(memory: int, seconds: int, written: int) -> None:
    """From now on at most so many bytes and seconds more, and in a file, where the system can be told so.

    Address space is what Linux counts; a build of torch for CUDA has reserved tens of GiB of it by now, which is why
    the limit counts from here. Other systems have the time, and the caller's clock.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = int(used.ru_utime + used.ru_stime) + 1 + seconds
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_CPU, cpu)
    _lower(resource.RLIMIT_FSIZE, written)
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        _lower(resource.RLIMIT_AS, pages * resource.getpagesize() + memory)


def _lower(kind: int, limit: int) -> None:
    """Set a limit, unless a lower one holds already."""
    import resource

    _, hard = resource.getrlimit(kind)
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(kind, (limit, hard))


def unpack(path: Path, folder: Path, most: int) -> None:
    """Leave in `folder` what there is to say about the file, and up to `most` bytes of its tensors."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - torch's unpickler, on bytes of anybody; the caller tells the user
        answer = _failure(error)
    else:
        answer = _walked(found, folder, most)
    (folder / ANSWER).write_text(json.dumps(answer), encoding="ascii")


def _walked(found: object, folder: Path, most: int) -> dict[str, Any]:
    """The answer to what was read. Only that the memory does not reach for it is the file's fault."""
    try:
        with (folder / TENSORS).open("wb") as file:
            answer = _answer(found, file, most)
        length = len(json.dumps(answer))
    except (MemoryError, RuntimeError) as error:
        answer = _failure(error)
        if "memory" not in answer:
            raise
        return answer
    return answer if length <= LARGEST_ANSWER else {"names": length}


def _failure(error: Exception) -> dict[str, Any]:
    text = " ".join(str(error).split())[:_LONGEST_ERROR]
    if isinstance(error, MemoryError) or "can't allocate memory" in text:
        return {"memory": True}
    unpickling = isinstance(error, pickle.UnpicklingError)
    return {"error": type(error).__name__, "text": text, "unpickling": unpickling}


def _answer(found: object, file: IO[bytes], most: int) -> dict[str, Any]:
    if _is_state(found):
        return _described(found, file, most)
    if not isinstance(found, Mapping):
        return {"holds": type(found).__name__}
    states = [name for name in _STATES if _is_state(found.get(name)) and found[name]]
    if len(states) != 1:
        return {"states": states} if states else {"holds": _entries(found)}
    ignored = [key for key in found if key != states[0]]
    about = {"entry": states[0], "ignored": _entries(ignored)}
    return about | _described(found[states[0]], file, most)


def _is_state(found: Any) -> bool:
    return isinstance(found, Mapping) and all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in found.items()
    )


def _entries(keys: Iterable[object]) -> str:
    """The first names among the keys of a file; of what is no name its kind."""
    names = [key[:_LONGEST_NAME] if isinstance(key, str) else type(key).__name__ for key in keys]
    more = ["..."] if len(names) > _NAMED_ENTRIES else []
    return ", ".join(names[:_NAMED_ENTRIES] + more)


def _described(state: Any, file: IO[bytes], most: int) -> dict[str, Any]:
    if len(state) > MOST_TENSORS:
        return {"count": len(state)}
    tensors = []
    for name, tensor in state.items():
        ordinary = tensor.layout is torch.strided and not tensor.is_quantized and not tensor.is_meta
        # Strides of zero make a tensor of any size out of a byte: it is measured before it is written out.
        size = tensor.numel() * tensor.element_size()
        is_here = ordinary and not tensor.is_complex() and size <= most
        if is_here:
            most -= size
            _write(tensor, file)
        dtype = str(tensor.dtype).removeprefix("torch.")
        tensors.append([name, list(tensor.shape), dtype, ordinary, is_here])
    return {"tensors": tensors}


def _write(tensor: Tensor, file: IO[bytes]) -> None:
    if tensor.numel():
        flat = tensor.detach().contiguous().reshape(-1)
        file.write(flat.view(torch.uint8).numpy().data)


if __name__ == "__main__":
    main(sys.argv[1:])
