// The PCM macro of a tile: unit cells, pulses on their rows, converters at their columns, and write
// heads.
//
// Behavioral, for simulation; ports and parameters are documented in hdl/array/pcm_array.py. It
// measures pulses: in each slot it processes only the rows whose pulse begins or ends. After a
// window it computes the charge of every column at once,
//
//     charge = sum over the rows of (add - sub slots)
//              * (select_plus * (g1+ + g2+) - select_minus * (g1- + g2-)),
//
// or, with a reference current, slots * reference, or, in a verify read, the charge of one device
// of each cell of a diagonal. The converters (adc.sv) count it. All of this happens on the first
// edge without `integrate`. The effect of a PCM-write pulse (pcm_devices.sv) happens on the first
// edge without `heat`. The devices of a diagonal are defined in caduceus/spec/pcm_write.py.
//
// The devices' state comes from a file or over the ports (pcm_memory.sv). Before the first load
// every device and every gain is 0.

module pcm_array #(
    parameter [31:0] ROWS = pcm_tables::ROWS,
    parameter [31:0] COLUMNS = pcm_tables::COLUMNS,
    parameter [31:0] LANES = pcm_tables::LANES,
    parameter [31:0] PHASE_LIMIT = pcm_tables::PHASE_LIMIT,
    parameter [31:0] HEADS = pcm_tables::HEADS,
    // Derived.
    parameter [31:0] GROUP_BITS = COLUMNS > LANES ? $clog2(COLUMNS / LANES) : 1
) (
    input                    clk,
    input                    state_load,
    input  [15:0]            state_index,
    input                    state_write,
    input                    state_first,
    input  [31:0]            state_data,
    output                   state_busy,
    input  [ROWS-1:0]        pulse_add,
    input  [ROWS-1:0]        pulse_sub,
    input                    select_plus,
    input                    select_minus,
    input  [1:0]             steer,
    input  signed [15:0]     reference_level,
    input                    bank,
    input                    clear,
    input                    integrate,
    output                   busy,
    input  [pcm_tables::DIAGONAL_BITS-1:0] diagonal,
    input  [1:0]             device,
    input                    verify,
    input  [pcm_tables::LINE_BITS-1:0] line,
    input                    heat,
    input                    heat_set,
    input                    read_clk,
    input                    head_write,
    input  [pcm_tables::HEAD_BITS-1:0] head,
    input                    head_on,
    input  [pcm_tables::AMPLITUDE_BITS-1:0] head_amplitude,
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

    // The loaded state, with the devices' present codes.
    pcm_memory #(.ROWS(ROWS), .COLUMNS(COLUMNS)) state ();
    pcm_devices devices ();

    // Conductance codes of a cell, summed over its two devices of a polarity.
    shortint unsigned plus [0:ROWS-1][0:COLUMNS-1];
    shortint unsigned minus [0:ROWS-1][0:COLUMNS-1];

    // --- one MVM after another ------------------------------------------------------------------

    // The windows of an MVM, and the MVMs since the state was loaded, are numbered: both address
    // the read noise. After a load, `read` is one less than the number of the first MVM.
    int unsigned read, phase;
    // A window is open; its configuration.
    reg open, with_plus, with_minus, verifying, to_bank;
    reg [1:0] steered;
    // The reference current of the window; 0 if the cells are connected.
    int current;
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
        heating = 0;
        pulses = 0;
        /* verilator unroll_disable */
        for (int unsigned each = 0; each < HEADS; each++) on[each] = 0;
    end

    // Blocking assignments throughout: one edge runs through the steps below in this order.
    /* verilator lint_off BLKSEQ */
    always @(posedge clk) begin
        if (open && !integrate) begin
            finish_pulses();
            if (verifying) integrate_devices();
            else integrate_charge();
            converters.convert(to_bank, steered, read, phase);
            phase = phase + 1;
            open = 0;
        end
        if (state_load) begin
            read = -1;
            if (32'(state_index) != pcm_tables::WRITTEN) begin
                state.load(state_index);
                read = state.first_read(state_index) - 1;
            end
            take_state();
            pulses = 0;
        end
        if (clear) begin
            converters.clear(bank);
            read = read + 1;
            phase = 0;
        end
        if (integrate) begin
            open = 1;
            // A reference current has the cells disconnected.
            current = 32'(reference_level);
            with_plus = select_plus && current == 0;
            with_minus = select_minus && current == 0;
            verifying = verify;
            steered = steer;
            to_bank = bank;
            measure_pulses();
        end
        if (heating && !heat) heat_devices();
        heating = heat;
        if (heat) heating_set = heat_set;
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
    endtask

    // --- charge ---------------------------------------------------------------------------------

    // Charge of every column; leaves `slots` and `slot` at 0 for the next window.
    task automatic integrate_charge;
        int length;
        /* verilator unroll_disable */
        for (int unsigned column = 0; column < COLUMNS; column++)
            converters.charge[column] = slot * current;
        slot = 0;
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

    // --- PCM writes -----------------------------------------------------------------------------

    localparam [31:0] LINES = ROWS <= COLUMNS ? ROWS : COLUMNS;
    localparam [31:0] HEAD_LINES = (LINES + HEADS - 1) / HEADS;

    // Whether a head is on, and its amplitude.
    reg on [0:(1<<pcm_tables::HEAD_BITS)-1];
    reg [pcm_tables::AMPLITUDE_BITS-1:0] amplitude [0:(1<<pcm_tables::HEAD_BITS)-1];
    // A pulse has begun; its shape. The number of pulses since the state load addresses their
    // noise.
    reg heating, heating_set;
    int unsigned pulses;

    always @(posedge read_clk) begin
        if (state_write) state.write(state_first, state_data);
        if (head_write) begin
            on[head] <= head_on;
            amplitude[head] <= head_amplitude;
        end
    end

    function automatic int unsigned row_of(input int unsigned number);
        row_of = ROWS <= COLUMNS ? number : (number + 32'(diagonal)) % ROWS;
    endfunction

    function automatic int unsigned column_of(input int unsigned number);
        column_of = ROWS <= COLUMNS ? (number + 32'(diagonal)) % COLUMNS : number;
    endfunction

    // Charge of a verify read: one device is connected in every column that the diagonal crosses.
    task automatic integrate_devices;
        int unsigned row, column;
        reg [31:0] word;
        int code;
        /* verilator unroll_disable */
        for (column = 0; column < COLUMNS; column++) converters.charge[column] = 0;
        /* verilator unroll_disable */
        for (int unsigned number = 0; number < LINES; number++) begin
            row = row_of(number);
            column = column_of(number);
            word = state.words[CELLS_AT + row * COLUMNS + column];
            code = 32'(word[32'(device) * 8 +: 8]);
            converters.charge[column] = slots[row] * (device[1] ? -code : code);
        end
        slot = 0;
        /* verilator unroll_disable */
        for (row = 0; row < ROWS; row++) slots[row] = 0;
    endtask

    task automatic heat_devices;
        int unsigned number, row, column;
        reg [31:0] word;
        /* verilator unroll_disable */
        for (int unsigned each = 0; each < HEADS; each++) begin
            number = each * HEAD_LINES + 32'(line);
            if (on[each] && number < LINES) begin
                row = row_of(number);
                column = column_of(number);
                word = state.words[CELLS_AT + row * COLUMNS + column];
                devices.pulse(row, column, device, heating_set, amplitude[each], pulses,
                              word[32'(device) * 8 +: 8], word[32'(device) * 8 +: 8]);
                state.words[CELLS_AT + row * COLUMNS + column] = word;
                sum_up(row, column);
            end
        end
        pulses = pulses + 1;
    endtask

    // --- state ----------------------------------------------------------------------------------

    localparam int CELLS_AT = pcm_tables::MEMORY_HEADER_WORDS;

    // Update the sums that MVMs use from the codes of a cell.
    task automatic sum_up(input int unsigned row, input int unsigned column);
        reg [31:0] word;
        word = state.words[CELLS_AT + row * COLUMNS + column];
        plus[row][column] = 16'(word[7:0]) + 16'(word[15:8]);
        minus[row][column] = 16'(word[23:16]) + 16'(word[31:24]);
    endtask

    // The layout is that of caduceus/spec/pcm_state.py.
    task automatic take_state;
        reg [31:0] word;
        int at;
        converters.seed_low = state.words[2];
        converters.seed_high = state.words[3];
        converters.tile = state.words[4];
        devices.seed_low = state.words[2];
        devices.seed_high = state.words[3];
        devices.tile = state.words[4];
        /* verilator unroll_disable */
        for (int unsigned row = 0; row < ROWS; row++) begin
            /* verilator unroll_disable */
            for (int unsigned column = 0; column < COLUMNS; column++) sum_up(row, column);
        end
        at = CELLS_AT + ROWS * COLUMNS;
        /* verilator unroll_disable */
        for (int unsigned column = 0; column < COLUMNS; column++) begin
            converters.gain_p[column] = state.words[at];
            converters.gain_n[column] = state.words[at + 1];
            word = state.words[at + 2];
            converters.offset_p[column] = 32'($signed(word[15:0]));
            converters.offset_n[column] = 32'($signed(word[31:16]));
            converters.noise[column] = state.words[at + 3];
            at = at + pcm_tables::MEMORY_COLUMN_WORDS;
        end
        converters.prepare();
    endtask
endmodule
