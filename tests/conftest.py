"""Tests that start a simulator themselves start the library's, in an active environment or not."""

import os

from caduceus.sim import programs

os.environ["PATH"] = programs.search_path()
