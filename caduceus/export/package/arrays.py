"""Implementations of the array and of the clock gate."""

from amaranth.hdl import Shape

from caduceus.hdl.array import emulated_array, pcm_array
from caduceus.hdl.fabric.grid import CLOCK_GATE_MODULE
from caduceus.spec.chip import Chip


def emulated(chip: Chip) -> str:
    """The module `pcm_array` with the emulated array inside, for one set of sizes.

    For other parameters it instantiates a module that does not exist: this is how a module can
    refuse parameters in every tool and version of Verilog. The missing module's name states the
    expected value.
    """
    group_bits = Shape.cast(pcm_array.ports(chip)["read_group"].shape).width
    parameters = {**pcm_array.module_parameters(chip), "GROUP_BITS": group_bits}
    checks = "\n".join(
        f"    if ({name} != {value}) begin : wrong_{name.lower()}\n"
        f"      {name.lower()}_of_this_emulation_is_{value} error ();\n"
        "    end"
        for name, value in parameters.items()
    )
    connections = ",\n".join(f"    .{name}({name})" for name in pcm_array.DOCS)
    return (
        "// The PCM array of a tile, emulated in block RAM and multipliers.\n"
        "// It has one set of sizes: with others, elaboration ends at a missing module whose name\n"
        "// states the expected size.\n\n"
        f"{pcm_array.header(chip)}"
        "  generate\n"
        f"{checks}\n"
        "  endgenerate\n\n"
        f"  {emulated_array.MODULE} emulation (\n{connections}\n  );\n"
        "endmodule\n"
    )


FREE_RUNNING_CLOCK = f"""\
// The clock gate for targets without gated clocks, such as FPGAs: the clock always runs.
// Results do not depend on it; clock gating only saves power and simulation time.

module {CLOCK_GATE_MODULE} (
    input  wire clk,
    /* verilator lint_off UNUSEDSIGNAL */
    input  wire enable,
    /* verilator lint_on UNUSEDSIGNAL */
    output wire gated
);
  assign gated = clk;
endmodule
"""
