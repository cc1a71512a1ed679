// Random pauses of a stream model; none unless ENABLE is 1.
//
// A one-clock `start` reads `<path>`, three hexadecimal numbers: the probability of a pause per
// clock in 1/256, a mask for its random length in clocks, and the seed, which is not 0.

module stream_pauses #(
    parameter int ENABLE = 0,
    parameter SIDE = "input"
) (
    input        clk,
    input        start,
    input [15:0] index,
    output       paused
);
    generate
        if (ENABLE != 0) begin : pauses
            int file = 0;
            int read;
            string folder;
            string path;
            reg [7:0] share;
            reg [15:0] longest;
            reg [15:0] left;
            reg [31:0] state;

            // Marsaglia's xorshift.
            wire [31:0] first = state ^ (state << 13);
            wire [31:0] second = first ^ (first >> 17);
            wire begins = state[7:0] < share;

            initial begin
                share = 0;
                longest = 0;
                left = 0;
                state = 1;
            end

            always @(posedge clk) begin
                if (start) begin
                    if ($value$plusargs("streams=%s", folder) == 0) folder = ".";
                    path = $sformatf("%s/%s_%0d.pauses", folder, SIDE, index);
                    file = $fopen(path, "r");
                    if (file == 0) $fatal(1, "%s: cannot read the stream's pauses", path);
                    read = $fscanf(file, "%h %h %h", share, longest, state);
                    if (read != 3) $fatal(1, "%s: not three numbers", path);
                    $fclose(file);
                    left <= 0;
                end else begin
                    state <= second ^ (second << 5);
                    if (left != 0) left <= left - 1;
                    else if (begins) left <= state[23:8] & longest;
                end
            end

            assign paused = left != 0 || begins;
        end else begin : always_on
            assign paused = 0;
        end
    endgenerate
endmodule
