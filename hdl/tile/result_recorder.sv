// Records a tile's results and activity, for simulation only.
//
// The plusarg `+record=<folder>` names a folder; without it nothing is recorded. When the array
// loads state number k, `results_<k>.txt` and `activity_<k>.txt` in that folder are started anew.
// The first is flushed line by line; the second is complete when another state is loaded or the
// simulation ends.
//
// results_<k>.txt: one line per vector, written with its last value.
//
//     r<bytes> <times>      results of the LDPU, before pooling
//     s<bytes> <times>      a packet that the tile sends
//
// Bytes are hexadecimal, two digits each, in the order of the stream: a binary16 value is its low
// byte and then its high byte. Times are those of the clock edges that took the vector's beats, in
// picoseconds: the first edge's, then `<n>*<step>` for each run of n beats, each `<step>` after the
// beat before.
//
// activity_<k>.txt: `<time> <hex>`, one line per change. The time, in picoseconds, is the middle of
// the first clock with the new value; the bits are
//
//     0  rows of an input vector are being written     2  the LDPU has a group, or a packet leaves
//     1  the array is integrating or converting        3  a result waits, for RX or for room
//
// Before the first line all bits are 0.

module result_recorder #(
    parameter [31:0] LANES = 1,
    parameter [31:0] VALUE_BYTES = 1,
    parameter [31:0] UNITS = 1,
    // Bytes of the longest vector.
    parameter [31:0] LONGEST = 256
) (
    input                           clk,
    input                           rst,
    input                           mvm_clk,
    input                           mvm_rst,
    // Domain `mvm_clk`, like the array's.
    input                           state_load,
    input [15:0]                    state_index,
    // Results: mask of the lanes in use, and whether the values are binary16.
    input                           result_valid,
    input                           result_last,
    input [LANES-1:0]               result_keep,
    input                           result_wide,
    input [LANES*VALUE_BYTES*8-1:0] result,
    // The tile's output.
    input                           sent_tvalid,
    input                           sent_tready,
    input                           sent_tlast,
    input [UNITS-1:0]               sent_tkeep,
    input [UNITS*8-1:0]             sent_tdata,
    // Activity: `group_valid`: a group arrives at the LDPU. `integrates` is in domain `mvm_clk`.
    input                           writes,
    input                           group_valid,
    input                           stalled,
    input                           integrates
);
    timeunit 1ps;
    timeprecision 1ps;

    localparam int WORD_BYTES = 8;
    localparam int WORDS = (LONGEST + WORD_BYTES - 1) / WORD_BYTES;

    int results_file = 0;
    int activity_file = 0;
    string folder;

    task automatic open_files;
        if (results_file != 0) begin
            $fclose(results_file);
            $fclose(activity_file);
        end
        if ($value$plusargs("record=%s", folder) != 0) begin
            results_file = $fopen($sformatf("%s/results_%0d.txt", folder, state_index), "w");
            activity_file = $fopen($sformatf("%s/activity_%0d.txt", folder, state_index), "w");
            if (results_file == 0 || activity_file == 0)
                $fatal(1, "+record: cannot write to folder %s", folder);
        end
    endtask

    // Blocking assignments throughout: a record must be complete before the next edge.
    /* verilator lint_off BLKSEQ */

    // --- results --------------------------------------------------------------------------------

    // Vectors in progress, one of each kind, eight bytes per word. A line is written at once, as the
    // kinds interleave.
    localparam int RESULT = 0, SENT = 1;
    reg [63:0] words [0:1][0:WORDS-1];
    int bytes [0:1];

    // Their beats' times: the first one's, the latest one's, and runs of equal steps. A vector has
    // no more beats than bytes.
    longint first [0:1];
    longint latest [0:1];
    longint steps [0:1][0:LONGEST-1];
    int beats [0:1][0:LONGEST-1];
    int runs [0:1];
    initial begin
        for (int kind = 0; kind < 2; kind++) begin
            bytes[kind] = 0;
            runs[kind] = 0;
        end
    end

    // Call before `keep` for each beat.
    task automatic take_time(input int kind);
        if (bytes[kind] == 0) begin
            first[kind] = $time;
            runs[kind] = 0;
        end else begin
            if (runs[kind] == 0 || steps[kind][runs[kind] - 1] != $time - latest[kind]) begin
                steps[kind][runs[kind]] = $time - latest[kind];
                beats[kind][runs[kind]] = 0;
                runs[kind] = runs[kind] + 1;
            end
            beats[kind][runs[kind] - 1] = beats[kind][runs[kind] - 1] + 1;
        end
        latest[kind] = $time;
    endtask

    task automatic keep(input int kind, input [7:0] value);
        words[kind][bytes[kind] / WORD_BYTES] =
            {words[kind][bytes[kind] / WORD_BYTES][55:0], value};
        bytes[kind] = bytes[kind] + 1;
    endtask

    task automatic write_line(input int kind);
        $fwrite(results_file, "%s", kind == RESULT ? "r" : "s");
        for (int word = 0; word < bytes[kind] / WORD_BYTES; word++)
            $fwrite(results_file, "%016x", words[kind][word]);
        for (int left = bytes[kind] % WORD_BYTES; left > 0; left--)
            $fwrite(results_file, "%02x",
                    8'(words[kind][bytes[kind] / WORD_BYTES] >> 8 * (left - 1)));
        $fwrite(results_file, " %0d", first[kind]);
        for (int number = 0; number < runs[kind]; number++)
            $fwrite(results_file, " %0d*%0d", beats[kind][number], steps[kind][number]);
        $fwrite(results_file, "\n");
        $fflush(results_file);
        bytes[kind] = 0;
    endtask

    always @(posedge clk) begin
        if (rst) begin
            bytes[RESULT] = 0;
            bytes[SENT] = 0;
        end else if (results_file != 0) begin
            if (result_valid) begin
                take_time(RESULT);
                for (int lane = 0; lane < LANES; lane++)
                    if (result_keep[lane])
                        for (int place = 0; place < (result_wide ? VALUE_BYTES : 1); place++)
                            keep(RESULT, 8'(result >> 8 * (lane * VALUE_BYTES + place)));
                if (result_last) write_line(RESULT);
            end
            if (sent_tvalid && sent_tready) begin
                take_time(SENT);
                for (int unit = 0; unit < UNITS; unit++)
                    if (sent_tkeep[unit]) keep(SENT, 8'(sent_tdata >> 8 * unit));
                if (sent_tlast) write_line(SENT);
            end
        end
    end

    // --- activity -------------------------------------------------------------------------------

    // The bits are those of registers, sampled at the rising edges of either clock, before the
    // registers change: a bit's value then began with the latest edge of its own clock. A clock that
    // stops, as a tile's does right after its last activity, delays a line's writing, not its time.
    localparam int SYNC = 0, MVM = 1;

    // Latest rising edge of each clock, and half of its period, measured in reset, when it runs.
    longint latest_edge [0:1];
    longint half [0:1];
    // When the files were opened.
    longint opened;
    // The bits of the latest line; those of the latest sample. Where they differ, the time at which
    // the bits of a clock changed, which may still be to come.
    reg [3:0] written, sampled;
    longint changed [0:1];
    int groups;
    wire computes = groups != 0 || group_valid || sent_tvalid;
    wire [3:0] now = {stalled, computes, integrates, writes};
    initial begin
        for (int each = SYNC; each <= MVM; each++) begin
            latest_edge[each] = 0;
            half[each] = 0;
            changed[each] = 0;
        end
        opened = 0;
        written = 0;
        sampled = 0;
        groups = 0;
    end

    // The bits of a clock.
    function automatic [3:0] bits_of(input int each, input [3:0] bits);
        bits_of = bits & (each == MVM ? 4'b0010 : 4'b1101);
    endfunction

    // Sample the bits and write the changes that are due; returns the bits of the latest line. A
    // final block may not call tasks.
    function automatic [3:0] recorded(input [3:0] bits);
        int each;
        recorded = written;
        if (activity_file != 0 && (bits != written || bits != sampled)) begin
            for (each = SYNC; each <= MVM; each++)
                if (bits_of(each, bits ^ sampled) != 0 && latest_edge[each] + half[each] > opened)
                begin
                    sampled = sampled ^ bits_of(each, bits ^ sampled);
                    changed[each] = latest_edge[each] + half[each];
                end
            // The earlier change first.
            for (int place = 0; place < 2; place++) begin
                each = (changed[MVM] < changed[SYNC]) == (place == 0) ? MVM : SYNC;
                if (bits_of(each, recorded ^ sampled) != 0 && changed[each] <= $time) begin
                    recorded = recorded ^ bits_of(each, recorded ^ sampled);
                    $fwrite(activity_file, "%0d %x\n", changed[each], recorded);
                end
            end
        end
    endfunction

    always @(posedge clk) begin
        written = recorded(now);
        if (rst) half[SYNC] = ($time - latest_edge[SYNC]) / 2;
        latest_edge[SYNC] = $time;
        groups <= rst ? 0 : groups + 32'(group_valid) - 32'(result_valid);
    end

    always @(posedge mvm_clk) begin
        written = recorded(now);
        if (mvm_rst) half[MVM] = ($time - latest_edge[MVM]) / 2;
        latest_edge[MVM] = $time;
        if (state_load) begin
            open_files();
            opened = $time;
        end
    end

    final written = recorded(now);
    /* verilator lint_on BLKSEQ */
endmodule
