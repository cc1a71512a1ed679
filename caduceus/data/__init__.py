"""Inputs for networks: data sets, texts or random values, in INT8."""

from caduceus.data.inputs import Inputs, inputs, sample
from caduceus.data.own import measured_network, networks_of

__all__ = ["Inputs", "inputs", "measured_network", "networks_of", "sample"]
