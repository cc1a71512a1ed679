"""Tests start the library's simulators, and commands that listen to Ctrl-C, from any shell."""

import os
import signal

from caduceus.sim import executables
from caduceus.sim.chip_design import THREADS_VARIABLE

os.environ["PATH"] = executables.search_path()

# As many tests run at once as there are cores, so each simulation has one thread.
os.environ.setdefault(THREADS_VARIABLE, "1")

# A shell has what it starts in the background ignore Ctrl-C; so would all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
