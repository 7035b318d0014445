"""From a user's model to an ONNX file of its codes: `ares export FILE --format onnx`.

The file is what the golden cases were accepted of, layer by layer; where it cannot say a layer exactly, that is refused
or said.
"""

from __future__ import annotations

from pathlib import Path

from ares.exporter.accepted import ExportError, accepted
from ares.files import write_file
from ares.interchange import OnnxModel, UnsaidError, write_onnx
from ares.plan import PortError, code_ports
from ares.verifier.user_subject import UserSubject


def export_onnx(
    subject: UserSubject, path: Path, *, codes: bool = False, is_approximate: bool = False
) -> OnnxModel:
    """Write the file of a model; raises ExportError where there is none, OSError where it cannot be written.

    `codes`: inputs and outputs are codes, not real values. `is_approximate`: a file whose constants miss the model's is
    written all the same.
    """
    accepted(subject)
    try:
        model = write_onnx(code_ports(subject.graph).graph if codes else subject.graph)
    except (PortError, UnsaidError) as error:
        raise ExportError(str(error)) from error
    if model.departures and not is_approximate:
        first = model.departures[0]
        more = f" (and {len(model.departures) - 1} more)" if model.departures[1:] else ""
        raise ExportError(
            f"{first}{more}; --allow-approximate writes a file that means this instead"
        )
    write_file(path, model.data)
    return model
