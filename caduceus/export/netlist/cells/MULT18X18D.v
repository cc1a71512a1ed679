// Multiplier of Lattice's ECP5, 18x18 bits: as much of it as Yosys's mapping uses, for simulation.
//
// Ours, from Lattice's public description of the block (technical note TN1267, "ECP5 and ECP5-5G
// sysDSP Usage Guide") and from the ports that Yosys's mapping connects: there is no open model.
// tests/test_cell_models.py compares it with products in plain Verilog.
//
// The product is there without a clock; each factor is signed if its SIGNED input is 1. There are
// no parameters and no ports for registers and cascades: a netlist that uses one does not build.
// Factors from cascades end the simulation.

module MULT18X18D (
    input
    A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
    input
    B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
    input
    C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
    input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
    output
    P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
    P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
    wire [17:0] a = {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1,
        A0};
    wire [17:0] b = {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1,
        B0};
    // Of two factors that are longer by the right sign, the low bits of the product are the same.
    wire [35:0] long_a = {{18{SIGNEDA & a[17]}}, a};
    wire [35:0] long_b = {{18{SIGNEDB & b[17]}}, b};

    always @(SOURCEA or SOURCEB)
        if (SOURCEA || SOURCEB)
            $fatal(1, "MULT18X18D: SOURCEA, SOURCEB: cascaded inputs are not modeled: expected 0");

    assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19,
        P18, P17,
        P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0}
        = long_a * long_b;
endmodule
