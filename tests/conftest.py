"""Tests start the library's simulators, and commands that listen to Ctrl-C, from any shell."""

import os
import signal

from caduceus.sim import executables

os.environ["PATH"] = executables.search_path()

# A shell has what it starts in the background ignore Ctrl-C; so would all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
