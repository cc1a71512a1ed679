"""Inputs for networks: data sets and texts, or random values, as the chip is given them."""

from caduceus.data.inputs import Inputs, inputs, sample
from caduceus.data.own import measured_network, networks_of

__all__ = ["Inputs", "inputs", "measured_network", "networks_of", "sample"]
