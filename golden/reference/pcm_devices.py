"""PCM devices under programming pulses; `spec.pcm_write` has the model's constants.

A device has a SET conductance S and a shift D of its programming curve, drawn once; every pulse
that the array has been given draws one more sample z for each device that it reaches. With x =
16 * amplitude + D + z * JITTER in 1/16 amplitude code, all samples of deviation 1 here:

    SET               code = S + z * SET_NOISE
    square, melts     code = S * curve(x) + |z| * RESET_NOISE     (x at or above MELT_AMPLITUDE)
    square, does not  code = code + (S - code) * GROWTH           (if S is above the code)

and the code is limited to 0 to 255. The code after a melting pulse does not depend on the code
before it (melt and quench). All products are rounded towards minus infinity.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caduceus.golden.reference import read_noise
from caduceus.spec import formats
from caduceus.spec import pcm_write as spec
from caduceus.spec.pcm_write import Pulse
from caduceus.spec.read_noise import QUANTILES

_OCTETS = range(0, 32, 8)
_OCTET = np.uint64(0xFF)
_PLACE_MAX = (spec.AMPLITUDE_MAX + 1 << spec.AMPLITUDE_FRACTION) - 1


class PcmDevices:
    """How the devices of one tile answer pulses.

    Args:
        seed: of the PCM state; 64 bits.
        tile: tile number.
        rows, columns: of the array.
    """

    def __init__(self, seed: int, tile: int, rows: int, columns: int) -> None:
        low = (1 << 32) - 1
        self._key = seed & low, seed >> 32
        self._tile = tile
        self._levels = np.array(QUANTILES, dtype=np.int64)
        place = np.indices((rows, columns)).reshape(2, -1)
        shape = (rows, columns, len(formats.DEVICES))
        drawn, moved = (
            np.stack(self._samples(*place, domain), axis=1).reshape(shape)
            for domain in (spec.DOMAIN_SET, spec.DOMAIN_SHIFT)
        )
        self.stuck = drawn < spec.STUCK_SAMPLE
        """bool [rows, columns, 4]: devices that no pulse changes."""
        self.conductance = (spec.SET_MEAN + _scaled(drawn, spec.SET_SPREAD)).clip(0, spec.SET_LIMIT)
        """int64 [rows, columns, 4]: SET conductances, in codes but without their limit."""
        self._shift = _scaled(moved, spec.SHIFT_SPREAD)

    def pulse(
        self,
        codes: NDArray[np.uint8],
        rows: NDArray[np.int64],
        columns: NDArray[np.int64],
        device: int,
        shape: Pulse,
        amplitudes: NDArray[np.int64],
        numbers: NDArray[np.int64],
    ) -> None:
        """Give a pulse to device `device` of each of some cells.

        Args:
            codes: uint8 [rows, columns, 4], changed in place.
            rows: [n], of the cells; each once at most.
            columns: [n], of the cells.
            device: index into `formats.DEVICES`.
            shape: of the pulse.
            amplitudes: [n], amplitude codes; a SET pulse has its own.
            numbers: [n], pulses that the array was given before since its state was loaded.
        """
        here = rows, columns, device
        conductance = self.conductance[here]
        noise = self._samples(rows, columns, spec.DOMAIN_PULSE, numbers)[device]
        before = codes[here].astype(np.int64)
        if shape is Pulse.SET:
            after = conductance + _scaled(noise, spec.SET_NOISE)
        else:
            place = amplitudes << spec.AMPLITUDE_FRACTION
            place = place + self._shift[here] + _scaled(noise, spec.JITTER)
            after = np.where(
                place >= spec.MELT_AMPLITUDE << spec.AMPLITUDE_FRACTION,
                _melted(conductance, place) + _scaled(np.abs(noise), spec.RESET_NOISE),
                _grown(before, conductance),
            )
        codes[here] = np.where(self.stuck[here], before, after.clip(0, formats.DEVICE_MAX))

    def _samples(
        self,
        rows: NDArray[np.int64],
        columns: NDArray[np.int64],
        domain: int,
        numbers: ArrayLike = 0,
    ) -> list[NDArray[np.int64]]:
        """Samples of the four devices of cells, each [n]; deviation 2**SAMPLE_FRACTION."""
        place = (rows << spec.ROW_SHIFT | columns).astype(np.uint64)
        shared = (np.atleast_1d(word).astype(np.uint64) for word in (numbers, self._tile, domain))
        return [
            sum(self._levels[word >> np.uint64(bit) & _OCTET] for bit in _OCTETS)
            for word in read_noise.philox4x32((place, *shared), self._key)
        ]


def _scaled(samples: NDArray[np.int64], deviation: int) -> NDArray[np.int64]:
    return samples * deviation >> formats.SAMPLE_FRACTION


def _melted(conductance: NDArray[np.int64], place: NDArray[np.int64]) -> NDArray[np.int64]:
    """Conductances left of SET ones after pulses at these places of the programming curve."""
    curve = np.array(spec.CURVE, dtype=np.int64)
    one = 1 << spec.AMPLITUDE_FRACTION
    index, part = np.divmod(place.clip(0, _PLACE_MAX), one)
    value = curve[index] * (one - part) + curve[index + 1] * part
    return conductance * value >> spec.CURVE_FRACTION + spec.AMPLITUDE_FRACTION


def _grown(before: NDArray[np.int64], conductance: NDArray[np.int64]) -> NDArray[np.int64]:
    """Codes after a pulse that crystallises part of what is amorphous."""
    way = np.maximum(conductance - before, 0)
    return before + (way * spec.GROWTH >> spec.GROWTH_FRACTION)
