"""Chips of the benches: shipped descriptions, some with other sizes."""

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
    """Name of the chip of a variant's parameters: equal names mean equal chips."""
    sizes = [f"{size}_{parameters[size]}" for size in _SIZES if size in parameters]
    return "-".join([parameters["chip"], *sizes])


def sized(parameters: Mapping[str, Any]) -> Chip:
    """The chip of a variant's parameters.

    Args:
        parameters: `chip` names the description; `rows`, `columns`, `lanes`, `units` (as many as
            lanes if only those are given), `partial_sums`, `overhead_1phase`, `overhead_4phase`,
            `gdpu_units`, `gdpu_lanes`, the buffers `activation`, `gather` (if not given, as near to
            the description's as rows and units allow), `rx` and `pool`, and `heads` replace its
            sizes. Other parameters are the bench's own.

    Raises:
        UserError: the description is unknown.
        pydantic.ValidationError: the sizes are inconsistent.
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
