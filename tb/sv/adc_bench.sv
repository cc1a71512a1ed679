// Ports around adc.sv: its tasks as strobes, its arrays as vectors with column 0 lowest.

module adc_bench #(
    parameter [31:0] COLUMNS = pcm_tables::COLUMNS,
    parameter [31:0] LANES = pcm_tables::LANES,
    parameter [31:0] PHASE_LIMIT = pcm_tables::PHASE_LIMIT,
    // Derived.
    parameter [31:0] GROUP_BITS = COLUMNS > LANES ? $clog2(COLUMNS / LANES) : 1
) (
    input                    clk,
    // Take the characteristics.
    input                    set,
    input [COLUMNS*32-1:0]   gain_p,
    input [COLUMNS*32-1:0]   gain_n,
    input [COLUMNS*16-1:0]   offset_p,
    input [COLUMNS*16-1:0]   offset_n,
    input [COLUMNS*16-1:0]   noise,
    input [63:0]             seed,
    input [31:0]             tile,
    // Clear, then convert, each if set.
    input                    clear,
    input                    convert,
    input                    bank,
    input [1:0]              steer,
    input [31:0]             read,
    input [31:0]             phase,
    input [COLUMNS*32-1:0]   charge,
    input                    read_clk,
    input                    read_enable,
    input                    read_bank,
    input [GROUP_BITS-1:0]   read_group,
    output [LANES*pcm_tables::COUNT_BITS-1:0] read_p,
    output [LANES*pcm_tables::COUNT_BITS-1:0] read_n
);
    adc #(.COLUMNS(COLUMNS), .LANES(LANES), .PHASE_LIMIT(PHASE_LIMIT)) converters (
        .read_clk(read_clk), .read_enable(read_enable), .read_bank(read_bank),
        .read_group(read_group), .read_p(read_p), .read_n(read_n)
    );

    always @(posedge clk) begin
        if (set) begin
            converters.seed_low = seed[31:0];
            converters.seed_high = seed[63:32];
            converters.tile = tile;
            for (int unsigned column = 0; column < COLUMNS; column++) begin
                converters.gain_p[column] = gain_p[column * 32 +: 32];
                converters.gain_n[column] = gain_n[column * 32 +: 32];
                converters.offset_p[column] = 32'($signed(offset_p[column * 16 +: 16]));
                converters.offset_n[column] = 32'($signed(offset_n[column * 16 +: 16]));
                converters.noise[column] = {16'd0, noise[column * 16 +: 16]};
            end
            converters.prepare();
        end
        if (clear) converters.clear(bank);
        if (convert) begin
            for (int unsigned column = 0; column < COLUMNS; column++)
                converters.charge[column] = charge[column * 32 +: 32];
            converters.convert(bank, steer, read, phase);
        end
    end
endmodule
