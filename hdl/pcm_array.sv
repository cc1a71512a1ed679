// The PCM macro of a tile: unit cells, pulses on their rows, converters at their columns.
//
// Behavioural, for simulation; ports and parameters are documented in hdl/pcm_array.py. It measures
// the pulses that it is given: between two slots it acts on those rows only whose pulse began or
// ended. After a window it computes the charge of every column at once,
//
//     charge = sum over the rows of (add - sub slots)
//              * (select_plus * (g1+ + g2+) - select_minus * (g1- + g2-)),
//
// and has the converters (adc.sv) count it, all on the first edge without `integrate`.
//
// The devices' state comes from the file `state_<index>.hex` in the folder that the plusarg
// `+pcm_state=<folder>` names, laid out as spec/pcm_state.py says. Before the first load every
// device and every gain is 0.

module pcm_array #(
    parameter int ROWS = pcm_tables::ROWS,
    parameter int COLUMNS = pcm_tables::COLUMNS,
    parameter int LANES = pcm_tables::LANES,
    parameter int PHASE_LIMIT = pcm_tables::PHASE_LIMIT,
    // Derived.
    parameter int GROUP_BITS = COLUMNS > LANES ? $clog2(COLUMNS / LANES) : 1
) (
    input                    clk,
    input                    state_load,
    input  [15:0]            state_index,
    output                   state_busy,
    input  [ROWS-1:0]        pulse_add,
    input  [ROWS-1:0]        pulse_sub,
    input                    select_plus,
    input                    select_minus,
    input  [1:0]             steer,
    input                    bank,
    input                    clear,
    input                    integrate,
    output                   busy,
    input                    read_clk,
    input                    read_enable,
    input                    read_bank,
    input  [GROUP_BITS-1:0]  read_group,
    output [LANES*pcm_tables::COUNT_BITS-1:0] read_p,
    output [LANES*pcm_tables::COUNT_BITS-1:0] read_n
);
    localparam int ROW_BITS = $clog2(ROWS);
    localparam int WORD_BITS = 32;
    localparam int WORDS = (ROWS + WORD_BITS - 1) / WORD_BITS;
    localparam int PADDING = WORDS * WORD_BITS - ROWS;

    assign state_busy = 0;
    assign busy = 0;

    adc #(.COLUMNS(COLUMNS), .LANES(LANES), .PHASE_LIMIT(PHASE_LIMIT)) converters (
        .read_clk(read_clk), .read_enable(read_enable), .read_bank(read_bank),
        .read_group(read_group), .read_p(read_p), .read_n(read_n)
    );

    // Conductance codes of a cell, summed over its two devices of a polarity.
    shortint unsigned plus [0:ROWS-1][0:COLUMNS-1];
    shortint unsigned minus [0:ROWS-1][0:COLUMNS-1];

    // --- one MVM after another ------------------------------------------------------------------

    // The windows of an MVM, and the MVMs since the state was loaded, are numbered: both address
    // the read noise. `read` is -1 until the first MVM after a load.
    int unsigned read, phase;
    // A window has begun; how it was set up.
    reg open, with_plus, with_minus, to_bank;
    reg [1:0] steered;
    // Slots of this window so far, and the pulses of the last one.
    int slot;
    int unsigned adding [0:WORDS-1];
    int unsigned subtracting [0:WORDS-1];
    // Signed pulse length of each row. A pulse that began at slot b and ended before slot e adds
    // -b + e, so that it can be measured without keeping b.
    int slots [0:ROWS-1];

    initial begin
        read = -1;
        phase = 0;
        open = 0;
        slot = 0;
        for (int word = 0; word < WORDS; word++) begin
            adding[word] = 0;
            subtracting[word] = 0;
        end
        for (int row = 0; row < ROWS; row++) begin
            slots[row] = 0;
            for (int column = 0; column < COLUMNS; column++) begin
                plus[row][column] = 0;
                minus[row][column] = 0;
            end
        end
    end

    // Blocking throughout: one edge runs through the steps below in this order.
    /* verilator lint_off BLKSEQ */
    always @(posedge clk) begin
        if (open && !integrate) begin
            finish_pulses();
            integrate_charge();
            converters.convert(to_bank, steered, read, phase);
            phase = phase + 1;
            open = 0;
        end
        if (state_load) begin
            load();
            read = -1;
        end
        if (clear) begin
            converters.clear(bank);
            read = read + 1;
            phase = 0;
        end
        if (integrate) begin
            open = 1;
            with_plus = select_plus;
            with_minus = select_minus;
            steered = steer;
            to_bank = bank;
            measure_pulses();
        end
    end
    /* verilator lint_on BLKSEQ */

    // --- pulses ---------------------------------------------------------------------------------

    wire [WORDS*WORD_BITS-1:0] add = {{PADDING{1'b0}}, pulse_add};
    wire [WORDS*WORD_BITS-1:0] sub = {{PADDING{1'b0}}, pulse_sub};

    // Account for the pulses of the rows in `changed`, which are on where `now` is.
    task automatic account(
        input int word, input int unsigned changed, input int unsigned now, input int time_on
    );
        int unsigned left, lowest;
        reg [ROW_BITS-1:0] row;
        left = changed;
        while (left != 0) begin
            lowest = left & -left;
            row = ROW_BITS'(word * WORD_BITS + $countones(lowest - 1));
            slots[row] = (now & lowest) != 0 ? slots[row] - time_on : slots[row] + time_on;
            left = left ^ lowest;
        end
    endtask

    task automatic measure_pulses;
        int unsigned now;
        for (int word = 0; word < WORDS; word++) begin
            now = add[word * WORD_BITS +: WORD_BITS];
            if (now != adding[word]) begin
                account(word, now ^ adding[word], now, slot);
                adding[word] = now;
            end
            now = sub[word * WORD_BITS +: WORD_BITS];
            if (now != subtracting[word]) begin
                account(word, now ^ subtracting[word], now, -slot);
                subtracting[word] = now;
            end
        end
        slot = slot + 1;
    endtask

    // A pulse ends with its window at the latest.
    task automatic finish_pulses;
        for (int word = 0; word < WORDS; word++) begin
            account(word, adding[word], 0, slot);
            account(word, subtracting[word], 0, -slot);
            adding[word] = 0;
            subtracting[word] = 0;
        end
        slot = 0;
    endtask

    // --- charge ---------------------------------------------------------------------------------

    // Charge of every column; leaves `slots` at 0 for the next window.
    task automatic integrate_charge;
        int length;
        for (int column = 0; column < COLUMNS; column++) converters.charge[column] = 0;
        for (int row = 0; row < ROWS; row++) begin
            length = slots[row];
            if (length != 0) begin
                slots[row] = 0;
                if (with_plus && with_minus) begin
                    for (int column = 0; column < COLUMNS; column++)
                        converters.charge[column] = converters.charge[column]
                            + length * (32'(plus[row][column]) - 32'(minus[row][column]));
                end else if (with_plus) begin
                    for (int column = 0; column < COLUMNS; column++)
                        converters.charge[column] =
                            converters.charge[column] + length * 32'(plus[row][column]);
                end else if (with_minus) begin
                    for (int column = 0; column < COLUMNS; column++)
                        converters.charge[column] =
                            converters.charge[column] - length * 32'(minus[row][column]);
                end
            end
        end
    endtask

    // --- state ----------------------------------------------------------------------------------

    string state_path;
    int state_file;
    // Set by anything that is wrong with the file, so that what follows is not done.
    reg state_bad;

    task automatic refuse(input string reason);
        if (!state_bad) $fatal(1, "%s: %s", state_path, reason);
        state_bad = 1;
    endtask

    // The next word of the file.
    task automatic take(output int unsigned word);
        word = 0;
        if (!state_bad && $fscanf(state_file, "%h", word) != 1)
            refuse("the PCM state is cut short or not hexadecimal: make it again");
    endtask

    task automatic load;
        string folder;
        /* verilator lint_off UNUSEDSIGNAL */
        int unsigned extra;
        /* verilator lint_on UNUSEDSIGNAL */
        state_bad = 0;
        if ($value$plusargs("pcm_state=%s", folder) == 0) begin
            state_path = "+pcm_state";
            refuse("no such plusarg, which names the folder of the PCM states");
        end else begin
            state_path = $sformatf("%s/state_%0d.hex", folder, state_index);
            state_file = $fopen(state_path, "r");
            if (state_file == 0) refuse("cannot read the PCM state");
            else begin
                load_words();
                if (!state_bad && $fscanf(state_file, "%h", extra) != -1)
                    refuse("the PCM state goes on after its end: make it again");
                $fclose(state_file);
            end
        end
    endtask

    task automatic load_words;
        int unsigned word;
        take(word);
        if (word != pcm_tables::IMAGE_MAGIC) refuse("not a PCM state");
        take(word);
        if (word != {16'(ROWS), 16'(COLUMNS)})
            refuse($sformatf("the PCM state is of a %0dx%0d array: allowed is %0dx%0d",
                             word[31:16], word[15:0], ROWS, COLUMNS));
        take(converters.seed_low);
        take(converters.seed_high);
        take(converters.tile);
        for (int row = 0; row < ROWS; row++)
            for (int column = 0; column < COLUMNS; column++) begin
                take(word);
                plus[row][column] = 16'(word[7:0]) + 16'(word[15:8]);
                minus[row][column] = 16'(word[23:16]) + 16'(word[31:24]);
            end
        for (int column = 0; column < COLUMNS; column++) begin
            take(word);
            converters.gain_p[column] = word;
            take(word);
            converters.gain_n[column] = word;
            take(word);
            converters.offset_p[column] = 32'($signed(word[15:0]));
            converters.offset_n[column] = 32'($signed(word[31:16]));
            take(word);
            converters.noise[column] = word;
        end
        converters.prepare();
    endtask
endmodule
