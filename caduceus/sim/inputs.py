"""Inputs of a program, in the shape that every target takes."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caduceus.host.real_values import to_int8
from caduceus.spec.errors import UserError
from caduceus.spec.program import Program, as_array


def shaped(program: Program, x: ArrayLike) -> NDArray[np.int8]:
    """Inputs as int8 [n, input_pixels, input_length], or sequences [n, steps, input_length].

    The type decides: int8 is already the chip's, in the network's own shape too (images [n, height,
    width, channels]), or [n, input_length] where an input is one vector. Floating-point numbers and
    uint8 are the user's own, and so are integers of another type where there is an embedding: they
    become INT8 as `caduceus.host.real_values` says. Other integers are refused.

    Raises:
        UserError: the type or the shape is wrong.
    """
    found = x = as_array(x, f"inputs of {program.network}")
    users = x.dtype.kind == "f" or x.dtype == np.uint8
    tokens = program.embedding is not None and x.dtype.kind in "iu" and x.dtype != np.int8
    if program.input and (users or tokens):
        return to_int8(program, x)
    if not program.slices and program.input and x.shape[1:] == program.input.shape:
        found = x.reshape(len(x), program.input_pixels, program.input_length)
    elif not program.slices and program.input_pixels == 1 and x.ndim == 2:
        found = x[:, np.newaxis]
    fits = found.ndim == 3 and found.shape[2] == program.input_length and len(found) > 0
    if fits and program.slices:
        fits = found.shape[1] > 0
    elif fits:
        fits = found.shape[1] == program.input_pixels
    if x.dtype != np.int8 or not fits:
        middle = "steps" if program.slices else program.input_pixels
        raise UserError(
            f"inputs of {program.network}: got {x.dtype} {list(x.shape)}, expected int8 "
            f"[n, {middle}, {program.input_length}]"
        )
    return found


def one_sequence(program: Program, x: ArrayLike) -> NDArray[np.int8]:
    """As `shaped`, for a chip, whose GDPU holds the state of one sequence.

    Raises:
        UserError: as `shaped`, or there is more than one sequence.
    """
    found = shaped(program, x)
    if program.slices and len(found) != 1:
        raise UserError(
            f"inputs of {program.network}: got {len(found)} sequences, expected 1: the GDPU holds "
            "the state of one"
        )
    return found


def count(program: Program, x: NDArray[np.int8]) -> int:
    """Number of images, vectors, or steps of all sequences, in `shaped` inputs."""
    return len(x) * x.shape[1] if program.slices else len(x)
