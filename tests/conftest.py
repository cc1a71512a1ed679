"""Tests that start a simulator themselves start the library's, in an active environment or not."""

import os

from tb import programs

os.environ["PATH"] = programs.search_path()
