// A glitch-free clock gate: `enable` counts as it stands at the end of the clock's low phase.
// For synthesis, put the target's own gate in its place, or tie it through.

module clock_gate (
    input  clk,
    input  enable,
    output gated
);
    reg open;

    /* verilator lint_off COMBDLY */
    always_latch if (!clk) open = enable;
    /* verilator lint_on COMBDLY */

    assign gated = clk & open;
endmodule
