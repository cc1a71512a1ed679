// Yosys technology map: a shift that selects one bit of a word becomes an index into the word.
//
// Simulators execute the shift on the whole word. The map is limited to words that every index is
// in, so that it changes no value.

(* techmap_celltype = "$shr $shift" *)
module bit_select (A, B, Y);
    parameter A_SIGNED = 0;
    parameter B_SIGNED = 0;
    parameter A_WIDTH = 1;
    parameter B_WIDTH = 1;
    parameter Y_WIDTH = 1;
    (* force_downto *)
    input [A_WIDTH-1:0] A;
    (* force_downto *)
    input [B_WIDTH-1:0] B;
    (* force_downto *)
    output [Y_WIDTH-1:0] Y;

    wire _TECHMAP_FAIL_ =
        Y_WIDTH != 1 || A_SIGNED || B_SIGNED || A_WIDTH < 4 || A_WIDTH != (1 << B_WIDTH);

    \$shiftx #(
        .A_SIGNED(0), .B_SIGNED(0), .A_WIDTH(A_WIDTH), .B_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)
    ) _TECHMAP_REPLACE_ (.A(A), .B(B), .Y(Y));
endmodule
