// A glitch-free clock gate: a latch samples `enable` at the end of the clock's low phase.
// For synthesis, replace it with the target's own clock gate, or connect `gated` to `clk`.

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
