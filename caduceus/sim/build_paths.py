"""Paths that a simulator's compiler can handle."""

import re
from pathlib import Path

from caduceus.sim import executables
from caduceus.spec.errors import UserError

_IN_MAKEFILES = re.compile(r"[\s'\"#;:$&()|<>`\\*?]")
"""Characters of a path with a special meaning in a makefile or in its shell."""


def demand_usable(simulator: str, folder: Path, hierarchical: bool) -> None:
    """Check, before it starts, that the simulator's compiler can handle the paths.

    Raises:
        UserError: a path has a character that breaks its makefiles or files.
    """
    from cocotb_tools import config

    # Verilator's makefile refuses blanks, and a hierarchical build has absolute paths in it.
    bad = '" ' if simulator == "verilator" else '"'
    broken = [letter for letter in str(folder) if letter in bad or not letter.isprintable()]
    if simulator == "verilator" and hierarchical:
        broken += _IN_MAKEFILES.findall(str(folder))
    if broken:
        raise UserError(
            f"{folder}: {simulator} cannot build in a folder whose path has {broken[0]!r}: set "
            "CADUCEUS_BUILD to another"
        )
    if simulator == "verilator":
        for place in (str(config.libs_dir), executables.find("verilator") or ""):
            broken = _IN_MAKEFILES.findall(place)
            if broken:
                raise UserError(
                    f"{place}: Verilator cannot build with an installation whose path has "
                    f"{broken[0]!r}: use --sim icarus, or install in another folder"
                )
