// Ports around read_noise.sv: each edge with `draw` draws four samples.

module read_noise_bench (
    input             clk,
    input             draw,
    input      [63:0] seed,
    input      [31:0] group,
    input      [31:0] read,
    input      [31:0] tile,
    input      [31:0] phase,
    // Sample 0 in the lowest bits.
    output reg [127:0] samples
);
    read_noise generator ();

    always @(posedge clk) begin
        if (draw) begin
            generator.draw(seed[31:0], seed[63:32], group, read, tile, phase);
            samples <= {generator.sample[3], generator.sample[2],
                        generator.sample[1], generator.sample[0]};
        end
    end
endmodule
