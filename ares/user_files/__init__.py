"""What a user hands over: a model's file, trained parameters, inputs. All of it is data of strangers.

Limits are looked at before anything is read, pickles are read in a child process, and whatever cannot be used is a
`UserInputError` of one line. Inputs that nobody gave are inferred from the model's first layers.
"""

from ares.user_files.data import Samples, read_samples
from ares.user_files.error import UserInputError
from ares.user_files.inputs import Inputs, NoInputs, example_tensor, find_inputs
from ares.user_files.loading import example, read_inputs, structural_model, trained_model

__all__ = [
    "Inputs",
    "NoInputs",
    "Samples",
    "UserInputError",
    "example",
    "example_tensor",
    "find_inputs",
    "read_inputs",
    "read_samples",
    "structural_model",
    "trained_model",
]
