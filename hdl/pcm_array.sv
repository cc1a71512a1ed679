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
    parameter [31:0] ROWS = pcm_tables::ROWS,
    parameter [31:0] COLUMNS = pcm_tables::COLUMNS,
    parameter [31:0] LANES = pcm_tables::LANES,
    parameter [31:0] PHASE_LIMIT = pcm_tables::PHASE_LIMIT,
    // Derived.
    parameter [31:0] GROUP_BITS = COLUMNS > LANES ? $clog2(COLUMNS / LANES) : 1
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
        /* verilator unroll_disable */
        for (int unsigned word = 0; word < WORDS; word++) begin
            adding[word] = 0;
            subtracting[word] = 0;
        end
        /* verilator unroll_disable */
        for (int unsigned row = 0; row < ROWS; row++) begin
            slots[row] = 0;
            /* verilator unroll_disable */
            for (int unsigned column = 0; column < COLUMNS; column++) begin
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
        /* verilator unroll_disable */
        for (int unsigned word = 0; word < WORDS; word++) begin
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
        /* verilator unroll_disable */
        for (int unsigned word = 0; word < WORDS; word++) begin
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
        /* verilator unroll_disable */
        for (int unsigned column = 0; column < COLUMNS; column++) converters.charge[column] = 0;
        /* verilator unroll_disable */
        for (int unsigned row = 0; row < ROWS; row++) begin
            length = slots[row];
            if (length != 0) begin
                slots[row] = 0;
                if (with_plus && with_minus) begin
                    /* verilator unroll_disable */
                    for (int unsigned column = 0; column < COLUMNS; column++)
                        converters.charge[column] = converters.charge[column]
                            + length * (32'(plus[row][column]) - 32'(minus[row][column]));
                end else if (with_plus) begin
                    /* verilator unroll_disable */
                    for (int unsigned column = 0; column < COLUMNS; column++)
                        converters.charge[column] =
                            converters.charge[column] + length * 32'(plus[row][column]);
                end else if (with_minus) begin
                    /* verilator unroll_disable */
                    for (int unsigned column = 0; column < COLUMNS; column++)
                        converters.charge[column] =
                            converters.charge[column] - length * 32'(minus[row][column]);
                end
            end
        end
    endtask

    // --- state ----------------------------------------------------------------------------------

    localparam int CELLS_AT = pcm_tables::IMAGE_HEADER_WORDS;
    localparam int COLUMNS_AT = CELLS_AT + ROWS * COLUMNS;
    localparam int IMAGE_WORDS = COLUMNS_AT + COLUMNS * pcm_tables::IMAGE_COLUMN_WORDS;
    // A word is eight digits and the end of its line.
    localparam int IMAGE_BYTES = IMAGE_WORDS * 9;

    reg [31:0] image [0:IMAGE_WORDS-1];

    // What is wrong with the state file, in words; empty if nothing is.
    function automatic string fault(input string path);
        int file, length, position;
        reg [31:0] magic, sizes;
        magic = 0;
        sizes = 0;
        fault = "";
        file = $fopen(path, "r");
        if (file == 0) fault = "cannot read the PCM state";
        else begin
            position = $fscanf(file, "%h %h", magic, sizes);
            position = $fseek(file, 0, 2);
            length = $ftell(file);
            $fclose(file);
            if (position != 0 || magic != pcm_tables::IMAGE_MAGIC) fault = "not a PCM state";
            else if (sizes != {16'(ROWS), 16'(COLUMNS)})
                fault = $sformatf("the PCM state is of a %0dx%0d array: allowed is %0dx%0d",
                                  sizes[31:16], sizes[15:0], ROWS, COLUMNS);
            else if (length != IMAGE_BYTES)
                fault = $sformatf("the PCM state is %0d bytes long: allowed is %0d",
                                  length, IMAGE_BYTES);
        end
    endfunction

    task automatic load;
        string folder, path, problem;
        if ($value$plusargs("pcm_state=%s", folder) == 0) begin
            $fatal(1, "+pcm_state: no such plusarg: it names the folder of the PCM states");
        end else begin
            path = $sformatf("%s/state_%0d.hex", folder, state_index);
            problem = fault(path);
            if (problem != "") $fatal(1, "%s: %s", path, problem);
            else begin
                // Some simulators only complain about a bad digit, and stop reading there.
                image[IMAGE_WORDS-1] = 32'hxxxxxxxx;
                $readmemh(path, image);
                if (^image[IMAGE_WORDS-1] === 1'bx)
                    $fatal(1, "%s: the PCM state is not hexadecimal throughout", path);
                else take_image();
            end
        end
    endtask

    // The layout is that of spec/pcm_state.py.
    task automatic take_image;
        reg [31:0] word;
        int at;
        converters.seed_low = image[2];
        converters.seed_high = image[3];
        converters.tile = image[4];
        at = CELLS_AT;
        /* verilator unroll_disable */
        for (int unsigned row = 0; row < ROWS; row++) begin
            /* verilator unroll_disable */
            for (int unsigned column = 0; column < COLUMNS; column++) begin
                word = image[at];
                plus[row][column] = 16'(word[7:0]) + 16'(word[15:8]);
                minus[row][column] = 16'(word[23:16]) + 16'(word[31:24]);
                at = at + 1;
            end
        end
        /* verilator unroll_disable */
        for (int unsigned column = 0; column < COLUMNS; column++) begin
            converters.gain_p[column] = image[at];
            converters.gain_n[column] = image[at + 1];
            word = image[at + 2];
            converters.offset_p[column] = 32'($signed(word[15:0]));
            converters.offset_n[column] = 32'($signed(word[31:16]));
            converters.noise[column] = image[at + 3];
            at = at + pcm_tables::IMAGE_COLUMN_WORDS;
        end
        converters.prepare();
    endtask
endmodule
