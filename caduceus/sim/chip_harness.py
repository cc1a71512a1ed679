"""Write the chip between players and recorders, as SystemVerilog."""

from pathlib import Path

from caduceus.sim.job import half_periods
from caduceus.spec import registers
from caduceus.spec.chip import Chip
from caduceus.spec.files import write_whole

_LITE = {"awaddr": 0, "awprot": 3, "awvalid": 1, "awready": 1, "wdata": 32, "wstrb": 4, "wvalid": 1,
         "wready": 1, "bresp": 2, "bvalid": 1, "bready": 1, "araddr": 0, "arprot": 3, "arvalid": 1,
         "arready": 1, "rdata": 32, "rresp": 2, "rvalid": 1, "rready": 1}  # fmt: skip
"""Width of AXI4-Lite's signals; 0 for that of an address."""


def write_harness(path: Path, chip: Chip) -> Path:
    """Write module `chip_harness` for `chip`.

    The harness makes the clocks; both rise at time 0. Plusargs `sync_half_ps` and `mvm_half_ps`
    replace the half periods of the description, see `clock_plusargs`.

    Ports: clocks and reset of the chip; `play_accesses` and `accesses_<port>`, those of
    `sv/register_player.sv`; `start` plays `input_<p>.txt` on every
    host input p and records `expected_<p>` beats of every host output p to `output_<p>.txt`;
    `done` rises after the last beat, `recorded` counts all beats; `aclk_cycles` and `mvm_cycles`
    count clocks; `began` holds the clock of the first input beat, `fed` that of the last beat of
    the first vector (`first_<p>` packets of every host input p); `answered` holds, in 64 bits per
    GDPU slice, the clock in which the slice was last awake. With parameter PAUSES every stream
    pauses as its `input_<p>.pauses` or `output_<p>.pauses` says, see `sv/stream_pauses.sv`.
    """
    units, tiles = chip.link.units, chip.tiles
    sync_ps, mvm_ps = half_periods(chip)
    inputs, outputs = len(chip.host.inputs), len(chip.host.outputs)
    slices = chip.gdpu.slices
    bits = registers.chip_address_bits(tiles, slices)
    lines = [
        "// Generated: the chip between players and recorders.",
        "module chip_harness #(parameter int PAUSES = 0) (",
        "    output reg aclk, output reg mvm_clk, input aresetn, input start,",
        *(f"    input [31:0] expected_{p}," for p in range(outputs)),
        *(f"    input [31:0] first_{p}," for p in range(inputs)),
        "    output [31:0] recorded, output done, output surplus,",
        "    output reg [63:0] aclk_cycles, output reg [63:0] mvm_cycles,",
        "    output reg [63:0] began, output reg [63:0] fed,",
        f"    output reg [{64 * slices - 1}:0] answered,",
        f"    output [{tiles - 1}:0] awake, output [{tiles - 1}:0] error,",
        f"    output [{slices - 1}:0] slices_awake, output [{slices - 1}:0] slices_error,",
        "    input play_accesses, output accesses_done, output [31:0] accesses_completed,",
        "    output [1:0] accesses_response, output accesses_hung",
        ");",
        "    timeunit 1ps; timeprecision 1ps;",
        "    /* verilator lint_off BLKSEQ */",
        f"    int sync_half_ps = {sync_ps}, mvm_half_ps = {mvm_ps};",
        "    int found;",
        "    initial begin",
        '        found = $value$plusargs("sync_half_ps=%d", sync_half_ps);',
        '        found = $value$plusargs("mvm_half_ps=%d", mvm_half_ps);',
        "        aclk = 1;",
        "        mvm_clk = 1;",
        "    end",
        "    always #(sync_half_ps) aclk = ~aclk;",
        "    always #(mvm_half_ps) mvm_clk = ~mvm_clk;",
        "    /* verilator lint_on BLKSEQ */",
        "    initial begin aclk_cycles = 0; mvm_cycles = 0; began = 0; fed = 0; end",
        "    always @(posedge aclk) aclk_cycles <= aclk_cycles + 1;",
        "    initial answered = 0;",
        *(
            f"    always @(posedge aclk) if (slices_awake[{number}]) "
            f"answered[{64 * number} +: 64] <= aclk_cycles;"
            for number in range(slices)
        ),
        "    always @(posedge mvm_clk) mvm_cycles <= mvm_cycles + 1;",
    ]
    same = ("aclk", "mvm_clk", "aresetn", "awake", "error", "slices_awake", "slices_error")
    connections = [f".{name}({name})" for name in same]
    lines += [f"    wire [{width or bits}-1:0] lite_{name};" for name, width in _LITE.items()]
    connections += [f".s_axil_{name}(lite_{name})" for name in _LITE]
    lite = ", ".join(f".m_axil_{name}(lite_{name})" for name in _LITE)
    lines.append(
        f"    register_player #(.ADDRESS_BITS({bits})) accesses ("
        f".clk(aclk), .start(play_accesses), .done(accesses_done), "
        ".completed(accesses_completed), .response(accesses_response), .hung(accesses_hung), "
        f"{lite});"
    )
    for side, count in (("in", inputs), ("out", outputs)):
        port = {"in": "s_axis", "out": "m_axis"}[side]
        for p in range(count):
            lines += [
                f"    wire [{units * 8 - 1}:0] {side}_{p}_tdata;",
                f"    wire [{units - 1}:0] {side}_{p}_tkeep;",
                f"    wire {side}_{p}_tlast, {side}_{p}_tvalid, {side}_{p}_tready;",
            ]
            connections += [
                f".{port}_{p}_{name}({side}_{p}_{name})"
                for name in ("tdata", "tkeep", "tlast", "tvalid", "tready")
            ]
            stream = ", ".join(
                f".{name}({side}_{p}_{name})"
                for name in ("tdata", "tkeep", "tlast", "tvalid", "tready")
            )
            if side == "in":
                lines.append(
                    f"    stream_player #(.UNITS({units}), .PAUSES(PAUSES)) player_{p} ("
                    f".clk(aclk), .start(start), .index(16'd{p}), {stream});"
                )
            else:
                lines += [
                    f"    wire [31:0] beats_{p}; wire done_{p}, surplus_{p};",
                    f"    stream_recorder #(.UNITS({units}), .PAUSES(PAUSES)) recorder_{p} ("
                    f".clk(aclk), .start(start), .index(16'd{p}), .expected(expected_{p}), "
                    f".now(aclk_cycles), .beats(beats_{p}), .done(done_{p}), "
                    f".surplus(surplus_{p}), {stream});",
                ]
    taken = " | ".join(f"(in_{p}_tvalid & in_{p}_tready)" for p in range(inputs))
    lines += [
        f"    wire taken = {taken};",
        *(f"    reg [31:0] left_{p};" for p in range(inputs)),
        "    reg fresh;",
        "    always @(posedge aclk) begin",
        "        if (start) begin",
        "            fresh <= 1;",
        *(f"            left_{p} <= first_{p};" for p in range(inputs)),
        "        end else begin",
        "            if (taken) fresh <= 0;",
        "            if (taken & fresh) began <= aclk_cycles;",
        *(
            f"            if (in_{p}_tvalid & in_{p}_tready & in_{p}_tlast & left_{p} != 0) begin "
            f"left_{p} <= left_{p} - 1; fed <= aclk_cycles; end"
            for p in range(inputs)
        ),
        "        end",
        "    end",
        f"    assign recorded = {' + '.join(f'beats_{p}' for p in range(outputs))};",
        f"    assign done = {' & '.join(f'done_{p}' for p in range(outputs))};",
        f"    assign surplus = {' | '.join(f'surplus_{p}' for p in range(outputs))};",
        f"    chip chip ({', '.join(connections)});",
        "endmodule",
    ]
    write_whole(path, "\n".join(lines) + "\n", "harness")
    return path


def clock_plusargs(sync_half_ps: int, mvm_half_ps: int) -> list[str]:
    """Plusargs of `chip_harness` for clocks of these half periods."""
    return [f"+sync_half_ps={sync_half_ps}", f"+mvm_half_ps={mvm_half_ps}"]
