// Plays the beats of a file on an AXI4-Stream, at full rate or, with PAUSES, with random pauses.
//
// A one-clock `start` opens `<folder>/input_<index>.txt`, folder from the plusarg `+streams=`. Each
// line is a beat: tdata, tkeep and tlast in hexadecimal. Python takes a hundred times longer per
// clock than the simulator, so nothing here waits for it.

module stream_player #(
    parameter int UNITS = 1,
    parameter int PAUSES = 0
) (
    input                    clk,
    input                    start,
    input      [15:0]        index,
    output reg [UNITS*8-1:0] tdata,
    output reg [UNITS-1:0]   tkeep,
    output reg               tlast,
    output reg               tvalid,
    input                    tready
);
    int file = 0;
    string folder;
    string path;
    reg [UNITS*8-1:0] data;
    reg [UNITS-1:0] keep;
    reg last;
    wire paused;

    stream_pauses #(.ENABLE(PAUSES), .SIDE("input")) pauses (
        .clk(clk), .start(start), .index(index), .paused(paused)
    );

    initial tvalid = 0;

    always @(posedge clk) begin
        if (start) begin
            if ($value$plusargs("streams=%s", folder) == 0) folder = ".";
            path = $sformatf("%s/input_%0d.txt", folder, index);
            file = $fopen(path, "r");
            if (file == 0) $fatal(1, "%s: cannot read the stream's beats", path);
        end else if (!tvalid || tready) begin
            tvalid <= 0;
            if (file != 0 && !paused) begin
                if ($fscanf(file, "%h %h %h", data, keep, last) == 3) begin
                    tdata <= data;
                    tkeep <= keep;
                    tlast <= last;
                    tvalid <= 1;
                end else begin
                    $fclose(file);
                    file = 0;
                end
            end
        end
    end
endmodule
