// Records the beats of an AXI4-Stream to a file, always ready or, with PAUSES, at random.
//
// A one-clock `start` opens `<folder>/output_<index>.txt`, folder from the plusarg `+streams=`; a
// beat becomes a line: tdata, tkeep and tlast in hexadecimal, and the clock's number. After
// `expected` beats it closes the file and raises `done`, until the next `start`. Any further beat
// raises `surplus`.

module stream_recorder #(
    parameter int UNITS = 1,
    parameter int PAUSES = 0
) (
    input               clk,
    input               start,
    input      [15:0]   index,
    input      [31:0]   expected,
    input      [63:0]   now,
    output reg [31:0]   beats,
    output reg          done,
    output reg          surplus,
    input [UNITS*8-1:0] tdata,
    input [UNITS-1:0]   tkeep,
    input               tlast,
    input               tvalid,
    output              tready
);
    int file = 0;
    string folder;
    string path;

    initial begin
        beats = 0;
        done = 0;
        surplus = 0;
    end

    wire paused;

    stream_pauses #(.ENABLE(PAUSES), .SIDE("output")) pauses (
        .clk(clk), .start(start), .index(index), .paused(paused)
    );

    assign tready = !paused;

    always @(posedge clk) begin
        if (start) begin
            if ($value$plusargs("streams=%s", folder) == 0) folder = ".";
            path = $sformatf("%s/output_%0d.txt", folder, index);
            file = $fopen(path, "w");
            if (file == 0) $fatal(1, "%s: cannot write the stream's beats", path);
            beats <= 0;
            done <= expected == 0;
        end else if (tvalid && tready) begin
            if (file == 0) surplus <= 1;
            else begin
                $fwrite(file, "%h %h %h %0d\n", tdata, tkeep, tlast, now);
                beats <= beats + 1;
                if (beats + 1 == expected) begin
                    $fclose(file);
                    file = 0;
                    done <= 1;
                end
            end
        end
    end
endmodule
