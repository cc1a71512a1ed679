// The columns' analog-to-digital converters: charge to counts, and the counters that keep them.
//
// Every column has two counters, P and N, in two banks: a window counts into one while the other is
// read. A conversion computes, in units of 2**-32 count, with q the charge of the window and z the
// noise of this column, read and phase:
//
//     steered to X    t = |q| * gain_X + offset_X + z          X += clamp(floor(t))
//     steered by sign s = q * gain + z     with gain_P for q >= 0, else gain_N
//                     s >= 0:  P += clamp(floor( s + offset_P))
//                     s <  0:  N += clamp(floor(-s + offset_N))
//
// where clamp limits to 0 .. PHASE_LIMIT, and a counter saturates at its largest value. Fixed-point
// positions are those of caduceus/spec/formats.py.
//
// Behavioral, for simulation. The array (pcm_array.sv) sets the characteristics when it loads a
// state, and calls `clear` and `convert`; the digital side reads the counters through the ports,
// on a clock of its own.

module adc #(
    parameter [31:0] COLUMNS = pcm_tables::COLUMNS,
    parameter [31:0] LANES = pcm_tables::LANES,
    parameter [31:0] PHASE_LIMIT = pcm_tables::PHASE_LIMIT,
    // Derived.
    parameter [31:0] GROUP_BITS = COLUMNS > LANES ? $clog2(COLUMNS / LANES) : 1
) (
    input                        read_clk,
    // Read the counters of columns `read_group * LANES ...` of a bank: `read_p` and `read_n` show
    // them after this edge until the next read, lowest column first.
    input                        read_enable,
    input                        read_bank,
    input      [GROUP_BITS-1:0]  read_group,
    output reg [LANES*pcm_tables::COUNT_BITS-1:0] read_p,
    output reg [LANES*pcm_tables::COUNT_BITS-1:0] read_n
);
    localparam int DRAWS =
        (COLUMNS + pcm_tables::COLUMNS_PER_DRAW - 1) / pcm_tables::COLUMNS_PER_DRAW;
    localparam int OFFSET_SHIFT = pcm_tables::GAIN_FRACTION - pcm_tables::OFFSET_FRACTION;
    localparam int NOISE_SHIFT = pcm_tables::GAIN_FRACTION - pcm_tables::NOISE_FRACTION
                               - pcm_tables::SAMPLE_FRACTION;

    // Characteristics of the columns, as codes of the PCM state.
    int gain_p [0:COLUMNS-1];
    int gain_n [0:COLUMNS-1];
    int offset_p [0:COLUMNS-1];
    int offset_n [0:COLUMNS-1];
    int noise [0:COLUMNS-1];
    // Address of the noise.
    int unsigned seed_low, seed_high, tile;

    // Charge of each column, set by the array before `convert`.
    int charge [0:COLUMNS-1];

    reg [pcm_tables::COUNT_BITS-1:0] count_p [0:1][0:COLUMNS-1];
    reg [pcm_tables::COUNT_BITS-1:0] count_n [0:1][0:COLUMNS-1];

    // Whether a column of a draw is noisy, and the noise of one window in units of the result.
    reg noisy [0:DRAWS-1];
    longint disturbance [0:COLUMNS-1];

    read_noise generator ();

    initial begin
        /* verilator unroll_disable */
        for (int unsigned column = 0; column < COLUMNS; column++) begin
            gain_p[column] = 0;
            gain_n[column] = 0;
            offset_p[column] = 0;
            offset_n[column] = 0;
            noise[column] = 0;
        end
        clear(0);
        clear(1);
        prepare();
    end

    // Zero the counters of a bank.
    task automatic clear(input to);
        /* verilator unroll_disable */
        for (int unsigned column = 0; column < COLUMNS; column++) begin
            count_p[to][column] = 0;
            count_n[to][column] = 0;
        end
    endtask

    // Call this after a change of the characteristics.
    task automatic prepare;
        /* verilator unroll_disable */
        for (int unsigned draw = 0; draw < DRAWS; draw++) noisy[draw] = 0;
        /* verilator unroll_disable */
        for (int unsigned column = 0; column < COLUMNS; column++) begin
            disturbance[column] = 0;
            if (noise[column] != 0) noisy[column / pcm_tables::COLUMNS_PER_DRAW] = 1;
        end
    endtask

    // Counts of a conversion: floor, then limit.
    function automatic int count(input longint total);
        int whole;
        whole = 32'(total >>> pcm_tables::GAIN_FRACTION);
        count = whole < 0 ? 0 : whole > PHASE_LIMIT ? PHASE_LIMIT : whole;
    endfunction

    function automatic [pcm_tables::COUNT_BITS-1:0] added(
        input [pcm_tables::COUNT_BITS-1:0] counter, input int counts
    );
        int sum;
        sum = 32'(counter) + counts;
        added = sum > pcm_tables::COUNT_MAX ? pcm_tables::COUNT_BITS'(pcm_tables::COUNT_MAX)
                                            : pcm_tables::COUNT_BITS'(sum);
    endfunction

    // Noise of every column for one window.
    task automatic disturb(input int unsigned read, input int unsigned phase);
        /* verilator unroll_disable */
        for (int unsigned draw = 0; draw < DRAWS; draw++) begin
            if (noisy[draw]) begin
                generator.draw(seed_low, seed_high, draw, read, tile, phase);
                for (int index = 0; index < pcm_tables::COLUMNS_PER_DRAW; index++) begin
                    if (draw * pcm_tables::COLUMNS_PER_DRAW + index < COLUMNS)
                        disturbance[draw * pcm_tables::COLUMNS_PER_DRAW + index] =
                            (64'(generator.sample[index])
                             * 64'(noise[draw * pcm_tables::COLUMNS_PER_DRAW + index]))
                            <<< NOISE_SHIFT;
                end
            end
        end
    endtask

    // Convert `charge` into the counters of bank `to`. `read` and `phase` address the noise.
    task automatic convert(
        input to, input [1:0] steering, input int unsigned read, input int unsigned phase
    );
        longint total;
        int magnitude;
        disturb(read, phase);
        if (steering == pcm_tables::STEER_BY_SIGN) begin
            /* verilator unroll_disable */
            for (int unsigned column = 0; column < COLUMNS; column++) begin
                total = 64'(charge[column])
                      * 64'(charge[column] >= 0 ? gain_p[column] : gain_n[column])
                      + disturbance[column];
                if (total >= 0)
                    count_p[to][column] = added(
                        count_p[to][column],
                        count(total + (64'(offset_p[column]) <<< OFFSET_SHIFT)));
                else
                    count_n[to][column] = added(
                        count_n[to][column],
                        count((64'(offset_n[column]) <<< OFFSET_SHIFT) - total));
            end
        end else begin
            /* verilator unroll_disable */
            for (int unsigned column = 0; column < COLUMNS; column++) begin
                magnitude = charge[column] < 0 ? -charge[column] : charge[column];
                if (steering == pcm_tables::STEER_P)
                    count_p[to][column] = added(
                        count_p[to][column],
                        count(64'(magnitude) * 64'(gain_p[column]) + disturbance[column]
                              + (64'(offset_p[column]) <<< OFFSET_SHIFT)));
                else
                    count_n[to][column] = added(
                        count_n[to][column],
                        count(64'(magnitude) * 64'(gain_n[column]) + disturbance[column]
                              + (64'(offset_n[column]) <<< OFFSET_SHIFT)));
            end
        end
    endtask

    always @(posedge read_clk) begin
        if (read_enable) begin
            /* verilator unroll_disable */
            for (int unsigned lane = 0; lane < LANES; lane++) begin
                read_p[lane * pcm_tables::COUNT_BITS +: pcm_tables::COUNT_BITS]
                    <= count_p[read_bank][32'(read_group) * LANES + lane];
                read_n[lane * pcm_tables::COUNT_BITS +: pcm_tables::COUNT_BITS]
                    <= count_n[read_bank][32'(read_group) * LANES + lane];
            end
        end
    end
endmodule
