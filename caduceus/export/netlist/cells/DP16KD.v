// Block RAM of Lattice's ECP5, 18 kbit: as much of it as Yosys's mapping uses, for simulation.
//
// Ours, from Lattice's public description of the block (technical note TN1264, "ECP5 and ECP5-5G
// Memory Usage Guide") and from the ports and parameters that Yosys's mapping sets: there is no
// open model. tests/test_cell_models.py compares it with memories in plain Verilog.
//
// It is an array of 512 rows of 36 bits. A port of W bits reaches the W that its address selects;
// of W < 9, the ninth bit of each byte cannot be reached. Of W >= 18, the low bits of the address
// are byte enables of writes.
//
// Port A reads and writes, port B reads. When A writes what B reads in the same clock, what B gets
// is not defined: here it is the inverse of what was there, so that who counts on it is found out.
// Any other use ends the simulation or its build: writes through port B, output
// registers, chip selects other than 0, and every parameter and value that is not below.

module DP16KD #(
    parameter DATA_WIDTH_A = 18,
    parameter DATA_WIDTH_B = 18,
    parameter [8*6-1:0] REGMODE_A = "NOREG",
    parameter [8*6-1:0] REGMODE_B = "NOREG",
    parameter [8*5-1:0] RESETMODE = "SYNC",
    parameter [8*5-1:0] ASYNC_RESET_RELEASE = "SYNC",
    parameter [8*5-1:0] CSDECODE_A = "0b000",
    parameter [8*5-1:0] CSDECODE_B = "0b000",
    parameter [8*15-1:0] WRITEMODE_A = "NORMAL",
    parameter [8*15-1:0] WRITEMODE_B = "NORMAL",
    parameter [8*4-1:0] CLKAMUX = "CLKA",
    parameter [8*4-1:0] CLKBMUX = "CLKB",
    parameter [8*8-1:0] GSR = "DISABLED",
    parameter [319:0] INITVAL_00 = 320'h0,
    parameter [319:0] INITVAL_01 = 320'h0,
    parameter [319:0] INITVAL_02 = 320'h0,
    parameter [319:0] INITVAL_03 = 320'h0,
    parameter [319:0] INITVAL_04 = 320'h0,
    parameter [319:0] INITVAL_05 = 320'h0,
    parameter [319:0] INITVAL_06 = 320'h0,
    parameter [319:0] INITVAL_07 = 320'h0,
    parameter [319:0] INITVAL_08 = 320'h0,
    parameter [319:0] INITVAL_09 = 320'h0,
    parameter [319:0] INITVAL_0A = 320'h0,
    parameter [319:0] INITVAL_0B = 320'h0,
    parameter [319:0] INITVAL_0C = 320'h0,
    parameter [319:0] INITVAL_0D = 320'h0,
    parameter [319:0] INITVAL_0E = 320'h0,
    parameter [319:0] INITVAL_0F = 320'h0,
    parameter [319:0] INITVAL_10 = 320'h0,
    parameter [319:0] INITVAL_11 = 320'h0,
    parameter [319:0] INITVAL_12 = 320'h0,
    parameter [319:0] INITVAL_13 = 320'h0,
    parameter [319:0] INITVAL_14 = 320'h0,
    parameter [319:0] INITVAL_15 = 320'h0,
    parameter [319:0] INITVAL_16 = 320'h0,
    parameter [319:0] INITVAL_17 = 320'h0,
    parameter [319:0] INITVAL_18 = 320'h0,
    parameter [319:0] INITVAL_19 = 320'h0,
    parameter [319:0] INITVAL_1A = 320'h0,
    parameter [319:0] INITVAL_1B = 320'h0,
    parameter [319:0] INITVAL_1C = 320'h0,
    parameter [319:0] INITVAL_1D = 320'h0,
    parameter [319:0] INITVAL_1E = 320'h0,
    parameter [319:0] INITVAL_1F = 320'h0,
    parameter [319:0] INITVAL_20 = 320'h0,
    parameter [319:0] INITVAL_21 = 320'h0,
    parameter [319:0] INITVAL_22 = 320'h0,
    parameter [319:0] INITVAL_23 = 320'h0,
    parameter [319:0] INITVAL_24 = 320'h0,
    parameter [319:0] INITVAL_25 = 320'h0,
    parameter [319:0] INITVAL_26 = 320'h0,
    parameter [319:0] INITVAL_27 = 320'h0,
    parameter [319:0] INITVAL_28 = 320'h0,
    parameter [319:0] INITVAL_29 = 320'h0,
    parameter [319:0] INITVAL_2A = 320'h0,
    parameter [319:0] INITVAL_2B = 320'h0,
    parameter [319:0] INITVAL_2C = 320'h0,
    parameter [319:0] INITVAL_2D = 320'h0,
    parameter [319:0] INITVAL_2E = 320'h0,
    parameter [319:0] INITVAL_2F = 320'h0,
    parameter [319:0] INITVAL_30 = 320'h0,
    parameter [319:0] INITVAL_31 = 320'h0,
    parameter [319:0] INITVAL_32 = 320'h0,
    parameter [319:0] INITVAL_33 = 320'h0,
    parameter [319:0] INITVAL_34 = 320'h0,
    parameter [319:0] INITVAL_35 = 320'h0,
    parameter [319:0] INITVAL_36 = 320'h0,
    parameter [319:0] INITVAL_37 = 320'h0,
    parameter [319:0] INITVAL_38 = 320'h0,
    parameter [319:0] INITVAL_39 = 320'h0,
    parameter [319:0] INITVAL_3A = 320'h0,
    parameter [319:0] INITVAL_3B = 320'h0,
    parameter [319:0] INITVAL_3C = 320'h0,
    parameter [319:0] INITVAL_3D = 320'h0,
    parameter [319:0] INITVAL_3E = 320'h0,
    parameter [319:0] INITVAL_3F = 320'h0
) (
    input  DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5,
    DIA4, DIA3, DIA2, DIA1, DIA0,
    input  ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1,
    ADA0,
    input  CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
    output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
    DOA4, DOA3, DOA2, DOA1, DOA0,

    input  DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5,
    DIB4, DIB3, DIB2, DIB1, DIB0,
    input  ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1,
    ADB0,
    input  CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
    output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
    DOB4, DOB3, DOB2, DOB1, DOB0
);
    localparam [64*320-1:0] INITIAL = {
        INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39,
        INITVAL_38, INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32,
        INITVAL_31, INITVAL_30, INITVAL_2F, INITVAL_2E, INITVAL_2D, INITVAL_2C, INITVAL_2B,
        INITVAL_2A, INITVAL_29, INITVAL_28, INITVAL_27, INITVAL_26, INITVAL_25, INITVAL_24,
        INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20, INITVAL_1F, INITVAL_1E, INITVAL_1D,
        INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18, INITVAL_17, INITVAL_16,
        INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10, INITVAL_0F,
        INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A, INITVAL_09, INITVAL_08,
        INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01,
        INITVAL_00
    };

    // What this is no model of.
    localparam KNOWN_A = DATA_WIDTH_A == 1 || DATA_WIDTH_A == 2 || DATA_WIDTH_A == 4
        || DATA_WIDTH_A == 9 || DATA_WIDTH_A == 18 || DATA_WIDTH_A == 36;
    localparam KNOWN_B = DATA_WIDTH_B == 1 || DATA_WIDTH_B == 2 || DATA_WIDTH_B == 4
        || DATA_WIDTH_B == 9 || DATA_WIDTH_B == 18 || DATA_WIDTH_B == 36;
    initial begin
        if (!KNOWN_A)
            $fatal(1, "DP16KD: DATA_WIDTH_A: got %0d, expected 1, 2, 4, 9, 18, 36", DATA_WIDTH_A);
        if (!KNOWN_B)
            $fatal(1, "DP16KD: DATA_WIDTH_B: got %0d, expected 1, 2, 4, 9, 18, 36", DATA_WIDTH_B);
        if (REGMODE_A != "NOREG" || REGMODE_B != "NOREG")
            $fatal(1, "DP16KD: REGMODE: expected NOREG");
        if (CSDECODE_A != "0b000" || CSDECODE_B != "0b000")
            $fatal(1, "DP16KD: CSDECODE: expected 0b000");
        if (RESETMODE != "SYNC" && RESETMODE != "ASYNC")
            $fatal(1, "DP16KD: RESETMODE: expected SYNC, ASYNC");
        if (ASYNC_RESET_RELEASE != RESETMODE)
            $fatal(1, "DP16KD: ASYNC_RESET_RELEASE: expected the value of RESETMODE");
        if (CLKAMUX != "CLKA" && CLKAMUX != "INV")
            $fatal(1, "DP16KD: CLKAMUX: expected CLKA, INV");
        if (CLKBMUX != "CLKB" && CLKBMUX != "INV")
            $fatal(1, "DP16KD: CLKBMUX: expected CLKB, INV");
        if (GSR != "DISABLED")
            $fatal(1, "DP16KD: GSR: expected DISABLED");
        if (WRITEMODE_A != "NORMAL" && WRITEMODE_A != "WRITETHROUGH"
            && WRITEMODE_A != "READBEFOREWRITE")
            $fatal(1, "DP16KD: WRITEMODE_A: expected NORMAL, WRITETHROUGH, READBEFOREWRITE");
    end

    wire [17:0] di_a = {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7,
        DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
    wire [17:0] di_b = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7,
        DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0};
    wire [13:0] ad_a = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2,
        ADA1, ADA0};
    wire [13:0] ad_b = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2,
        ADB1, ADB0};

    wire clk_a = (CLKAMUX == "INV") ? ~CLKA : CLKA;
    wire clk_b = (CLKBMUX == "INV") ? ~CLKB : CLKB;
    wire on_a = CEA & ~CSA2 & ~CSA1 & ~CSA0;
    wire on_b = CEB & ~CSB2 & ~CSB1 & ~CSB0;

    // Lowest bit of a row that an address selects.
    function [5:0] first(input integer width, input [4:0] address);
        first = (width < 36 && address[4] ? 6'd18 : 6'd0) + (width < 18 && address[3] ? 6'd9 :
            6'd0)
            + (width < 9 && address[2] ? 6'd4 : 6'd0) + (width < 4 && address[1] ? 6'd2 : 6'd0)
            + (width < 2 && address[0] ? 6'd1 : 6'd0);
    endfunction

    wire [5:0] first_a = first(DATA_WIDTH_A, ad_a[4:0]);
    wire [5:0] first_b = first(DATA_WIDTH_B, ad_b[4:0]);
    wire [35:0] all_a = 36'hFFFFFFFFF >> (36 - DATA_WIDTH_A);
    wire [35:0] all_b = 36'hFFFFFFFFF >> (36 - DATA_WIDTH_B);
    // Bits of its row that port A writes, and what to.
    wire [35:0] enabled = {
        {9{DATA_WIDTH_A < 36 | ad_a[3]}}, {9{DATA_WIDTH_A < 36 | ad_a[2]}},
        {9{DATA_WIDTH_A < 18 | ad_a[1]}}, {9{DATA_WIDTH_A < 18 | ad_a[0]}}
    };
    wire [35:0] written = (all_a & enabled) << first_a;
    wire [35:0] data = {di_b, di_a} << first_a;

    reg [35:0] rows [0:511];
    wire [35:0] row_a = rows[ad_a[13:5]];
    wire [35:0] row_b = rows[ad_b[13:5]];
    wire [35:0] new_a = (row_a & ~written) | (data & written);
    // In block RAM with a synchronous reset, that comes before a write.
    wire writes = on_a & WEA & ~(RESETMODE == "SYNC" & RSTA);

    // The last write and the last read. If their time and row are the same, they collide.
    localparam real NEVER = -1.0;
    realtime write_time, read_time;
    reg [8:0] write_row, read_row;
    reg [35:0] write_bits;
    wire collide = write_time == read_time && write_row == read_row;

    // Rows as they were read, and the lowest bit that is wanted.
    reg [35:0] got_a, got_b;
    reg [5:0] shift_a, shift_b;
    wire clears_a = RESETMODE == "ASYNC" && RSTA;
    wire clears_b = RESETMODE == "ASYNC" && RSTB;

    // In pieces: simulators take long over many parts of one long constant.
    genvar piece;
    generate
        for (piece = 0; piece < 64; piece = piece + 1) begin : content
            localparam [319:0] WORDS = INITIAL[piece*320 +: 320];
            integer row;
            initial
                for (row = 0; row < 8; row = row + 1)
                    rows[piece*8+row] = {WORDS[row*40+20 +: 18], WORDS[row*40 +: 18]};
        end
    endgenerate

    initial begin
        got_a = 0;
        got_b = 0;
        shift_a = 0;
        shift_b = 0;
        write_time = 0.0;
        write_row = 0;
        write_bits = 0;
        read_time = NEVER;
        read_row = 0;
    end

    always @(posedge clk_a)
        if (writes) begin
            rows[ad_a[13:5]] <= new_a;
            write_time <= $realtime;
            write_row <= ad_a[13:5];
            write_bits <= written;
        end

    always @(posedge clk_a or posedge clears_a)
        if (clears_a)
            got_a <= 0;
        else if (RSTA)
            got_a <= 0;
        else if (on_a && !(WEA && WRITEMODE_A == "NORMAL")) begin
            got_a <= WEA && WRITEMODE_A == "WRITETHROUGH" ? new_a : row_a;
            shift_a <= first_a;
        end

    always @(posedge clk_b or negedge clk_b or posedge clears_b)
        if (clears_b) begin
            got_b <= 0;
            read_time <= NEVER;
        end else if (!clk_b) begin
            // What collided stays undefined until the next read, whatever is written by then.
            if (collide) begin
                got_b <= got_b ^ write_bits;
                read_time <= NEVER;
            end
        end else if (RSTB) begin
            got_b <= 0;
            read_time <= NEVER;
        end else if (on_b) begin
            if (WEB)
                $fatal(1, "DP16KD: a write through port B: expected port A");
            got_b <= row_b;
            shift_b <= first_b;
            read_time <= $realtime;
            read_row <= ad_b[13:5];
        end

    wire [35:0] out_a = (got_a >> shift_a) & all_a;
    wire [35:0] out_b = ((collide ? got_b ^ write_bits : got_b) >> shift_b) & all_b;
    // A read of 36 bits has the outputs of both ports.
    assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
        DOA4,
        DOA3, DOA2, DOA1, DOA0}
        = DATA_WIDTH_B == 36 ? out_b[17:0] : out_a[17:0];
    assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
        DOB4,
        DOB3, DOB2, DOB1, DOB0}
        = DATA_WIDTH_B == 36 ? out_b[35:18] : out_b[17:0];
endmodule
