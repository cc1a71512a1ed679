"""Tests that start a simulator themselves start the library's, in an active environment or not."""

import os

from caduceus.sim import executables

os.environ["PATH"] = executables.search_path()
