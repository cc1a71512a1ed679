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
    always @(posedge mvm_clk) if (state_load) open_files();

    // --- results --------------------------------------------------------------------------------

    // Vectors in progress, eight bytes per word. A line is written at once, as the two kinds
    // interleave.
    reg [63:0] result_words [0:WORDS-1];
    reg [63:0] sent_words [0:WORDS-1];
    int result_bytes, sent_bytes;

    // Their beats' times: the first one's, the latest one's, and runs of equal steps. A vector has
    // no more beats than bytes.
    longint result_first, result_latest, sent_first, sent_latest;
    longint result_steps [0:LONGEST-1];
    longint sent_steps [0:LONGEST-1];
    int result_beats [0:LONGEST-1];
    int sent_beats [0:LONGEST-1];
    int result_runs, sent_runs;
    initial begin
        result_bytes = 0;
        sent_bytes = 0;
        result_runs = 0;
        sent_runs = 0;
    end

    task automatic time_result;
        if (result_bytes == 0) begin
            result_first = $time;
            result_runs = 0;
        end else begin
            if (result_runs == 0 || result_steps[result_runs - 1] != $time - result_latest) begin
                result_steps[result_runs] = $time - result_latest;
                result_beats[result_runs] = 0;
                result_runs = result_runs + 1;
            end
            result_beats[result_runs - 1] = result_beats[result_runs - 1] + 1;
        end
        result_latest = $time;
    endtask

    task automatic time_sent;
        if (sent_bytes == 0) begin
            sent_first = $time;
            sent_runs = 0;
        end else begin
            if (sent_runs == 0 || sent_steps[sent_runs - 1] != $time - sent_latest) begin
                sent_steps[sent_runs] = $time - sent_latest;
                sent_beats[sent_runs] = 0;
                sent_runs = sent_runs + 1;
            end
            sent_beats[sent_runs - 1] = sent_beats[sent_runs - 1] + 1;
        end
        sent_latest = $time;
    endtask

    task automatic keep_result(input [7:0] value);
        result_words[result_bytes / WORD_BYTES] =
            {result_words[result_bytes / WORD_BYTES][55:0], value};
        result_bytes = result_bytes + 1;
    endtask

    task automatic keep_sent(input [7:0] value);
        sent_words[sent_bytes / WORD_BYTES] = {sent_words[sent_bytes / WORD_BYTES][55:0], value};
        sent_bytes = sent_bytes + 1;
    endtask

    // The last word of a line, which has `bytes` bytes.
    task automatic write_rest(input [63:0] word, input int bytes);
        for (int left = bytes; left > 0; left--)
            $fwrite(results_file, "%02x", 8'(word >> 8 * (left - 1)));
    endtask

    always @(posedge clk) begin
        if (rst) begin
            result_bytes = 0;
            sent_bytes = 0;
        end else if (results_file != 0) begin
            if (result_valid) begin
                time_result();
                for (int lane = 0; lane < LANES; lane++)
                    if (result_keep[lane])
                        for (int place = 0; place < (result_wide ? VALUE_BYTES : 1); place++)
                            keep_result(8'(result >> 8 * (lane * VALUE_BYTES + place)));
                if (result_last) begin
                    $fwrite(results_file, "r");
                    for (int word = 0; word < result_bytes / WORD_BYTES; word++)
                        $fwrite(results_file, "%016x", result_words[word]);
                    write_rest(result_words[result_bytes / WORD_BYTES], result_bytes % WORD_BYTES);
                    $fwrite(results_file, " %0d", result_first);
                    for (int number = 0; number < result_runs; number++)
                        $fwrite(
                            results_file, " %0d*%0d", result_beats[number], result_steps[number]
                        );
                    $fwrite(results_file, "\n");
                    $fflush(results_file);
                    result_bytes = 0;
                end
            end
            if (sent_tvalid && sent_tready) begin
                time_sent();
                for (int unit = 0; unit < UNITS; unit++)
                    if (sent_tkeep[unit]) keep_sent(8'(sent_tdata >> 8 * unit));
                if (sent_tlast) begin
                    $fwrite(results_file, "s");
                    for (int word = 0; word < sent_bytes / WORD_BYTES; word++)
                        $fwrite(results_file, "%016x", sent_words[word]);
                    write_rest(sent_words[sent_bytes / WORD_BYTES], sent_bytes % WORD_BYTES);
                    $fwrite(results_file, " %0d", sent_first);
                    for (int number = 0; number < sent_runs; number++)
                        $fwrite(
                            results_file, " %0d*%0d", sent_beats[number], sent_steps[number]
                        );
                    $fwrite(results_file, "\n");
                    $fflush(results_file);
                    sent_bytes = 0;
                end
            end
        end
    end

    // --- activity -------------------------------------------------------------------------------

    // Sampled in the middle of a clock, as a tile's clock stops right after its last activity.
    reg was_writing, was_computing, was_stalled, was_integrating;
    reg computes;
    int groups;
    initial begin
        was_writing = 0;
        was_computing = 0;
        was_stalled = 0;
        was_integrating = 0;
        groups = 0;
    end

    task automatic write_activity;
        $fwrite(activity_file, "%0d %x\n", $time,
                {was_stalled, was_computing, was_integrating, was_writing});
    endtask

    always @(posedge clk) groups = rst ? 0 : groups + 32'(group_valid) - 32'(result_valid);

    always @(negedge clk) begin
        computes = groups != 0 || group_valid || sent_tvalid;
        if (activity_file != 0 && {writes, computes, stalled}
                != {was_writing, was_computing, was_stalled}) begin
            was_writing = writes;
            was_computing = computes;
            was_stalled = stalled;
            write_activity();
        end
    end

    always @(negedge mvm_clk) begin
        if (activity_file != 0 && integrates != was_integrating) begin
            was_integrating = integrates;
            write_activity();
        end
    end
    /* verilator lint_on BLKSEQ */
endmodule
