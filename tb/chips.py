"""Chips of the benches: descriptions that ship with the project, with some sizes changed."""

from collections.abc import Mapping
from typing import Any

from caduceus.spec.chip import Chip

_SIZES = {
    "rows": ("array", "rows"),
    "columns": ("array", "columns"),
    "overhead_1phase": ("mvm", "overhead_1phase"),
    "overhead_4phase": ("mvm", "overhead_4phase"),
    "gdpu_units": ("gdpu", "units"),
    "gdpu_lanes": ("gdpu", "lanes"),
    "lanes": ("ldpu", "lanes"),
    "units": ("link", "units"),
    "partial_sums": ("link", "partial_sums"),
    "activation": ("buffers", "activation"),
    "gather": ("buffers", "gather"),
    "rx": ("buffers", "rx"),
    "pool": ("buffers", "pool"),
    "heads": ("programming", "heads"),
}


def label(parameters: Mapping[str, Any]) -> str:
    """The chip of a variant's parameters in a word: two with the same name are the same."""
    sizes = [f"{size}_{parameters[size]}" for size in _SIZES if size in parameters]
    return "-".join([parameters["chip"], *sizes])


def sized(parameters: Mapping[str, Any]) -> Chip:
    """The chip that a variant's parameters describe.

    Args:
        parameters: `chip` names the description; `rows`, `columns`, `lanes`, `units` (as many as
            lanes if only those are given), `partial_sums`, `overhead_1phase`, `overhead_4phase`,
            `gdpu_units`, `gdpu_lanes`, and the buffers `activation`, `gather` (as near to the
            description's as rows and units allow if not given), `rx` and `pool`, and `heads`,
            replace what it says. Others are left to the bench.

    Raises:
        UserError: there is no such description.
        pydantic.ValidationError: the sizes do not fit together.
    """
    description = Chip.find(parameters["chip"]).model_dump()
    for name, (section, key) in _SIZES.items():
        if name in parameters:
            description[section][key] = parameters[name]
    if "lanes" in parameters:
        description["link"]["units"] = parameters.get("units", parameters["lanes"])
    if "gather" not in parameters:
        units, rows = description["link"]["units"], description["array"]["rows"]
        widest = rows & -rows
        gather = description["buffers"]["gather"]
        description["buffers"]["gather"] = max(units, min(gather, widest))
    return Chip.model_validate(description)
