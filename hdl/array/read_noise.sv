// Read noise: four samples at a time, a pure function of position and time of a read.
//
// caduceus/spec/read_noise.py defines addresses, generator and distribution: Philox4x32-10 (Salmon
// et al., SC 2011), one block per four neighboring columns. Each byte of a word selects a quantile
// of the normal distribution, and a sample is the sum of four quantiles.
//
// Behavioral, for simulation. Use: call `draw`, then read `sample`.

module read_noise;
    // A memory, which simulators index faster than a vector.
    int quantile [0:(1 << 8) - 1];

    // Samples of columns 4 * group to 4 * group + 3 of the last draw.
    int sample [0:pcm_tables::COLUMNS_PER_DRAW - 1];

    initial begin
        /* verilator unroll_disable */
        for (int level = 0; level < 1 << 8; level++)
            quantile[level] = 32'($signed(
                pcm_tables::QUANTILES[level * pcm_tables::QUANTILE_BITS +:
                pcm_tables::QUANTILE_BITS]));
    end

    // Both halves of the product of two words.
    function automatic longint unsigned product(input int unsigned a, input int unsigned b);
        product = 64'(a) * 64'(b);
    endfunction

    function automatic int levels(input int unsigned word);
        levels = quantile[word[7:0]] + quantile[word[15:8]]
               + quantile[word[23:16]] + quantile[word[31:24]];
    endfunction

    // Fill `sample` for four columns of one read.
    task automatic draw(
        input int unsigned seed_low,
        input int unsigned seed_high,
        input int unsigned group,
        input int unsigned read,
        input int unsigned tile,
        input int unsigned phase
    );
        int unsigned word_0, word_1, word_2, word_3, key_0, key_1;
        longint unsigned left, right;
        word_0 = group;
        word_1 = read;
        word_2 = tile;
        word_3 = phase;
        key_0 = seed_low;
        key_1 = seed_high;
        for (int round = 0; round < pcm_tables::PHILOX_ROUNDS; round++) begin
            left = product(word_0, pcm_tables::PHILOX_MULTIPLIER_0);
            right = product(word_2, pcm_tables::PHILOX_MULTIPLIER_1);
            word_0 = right[63:32] ^ word_1 ^ key_0;
            word_1 = right[31:0];
            word_2 = left[63:32] ^ word_3 ^ key_1;
            word_3 = left[31:0];
            key_0 = key_0 + pcm_tables::PHILOX_WEYL_0;
            key_1 = key_1 + pcm_tables::PHILOX_WEYL_1;
        end
        sample[0] = levels(word_0);
        sample[1] = levels(word_1);
        sample[2] = levels(word_2);
        sample[3] = levels(word_3);
    endtask
endmodule
