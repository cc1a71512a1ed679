// PCM devices under PCM-write pulses: the conductance code of a device after a pulse.
//
// caduceus/spec/pcm_write.py defines the model, its constants and the addresses of its samples.
// With z the sample of the pulse, S the SET conductance and D the shift of the programming curve of
// the device, all products rounded towards minus infinity:
//
//     SET               code = S + z * SET_NOISE
//     square, melts     code = S * curve(x) + |z| * RESET_NOISE
//     square, does not  code = code + (S - code) * GROWTH      if S is above the code
//
// where x = 16 * amplitude + D + z * JITTER is a place on the curve, in 1/16 amplitude code, and
// melting begins at MELT_AMPLITUDE. The code is limited to 0 .. DEVICE_MAX. Devices with a small
// draw of S are stuck.
//
// Behavioral, for simulation. Use: set the address of the noise, then call `pulse`.

module pcm_devices;
    localparam int ONE = 1 << pcm_tables::AMPLITUDE_FRACTION;
    localparam int PLACE_MAX = (pcm_tables::AMPLITUDE_MAX + 1) * ONE - 1;

    // Of the PCM state.
    int unsigned seed_low, seed_high, tile;

    read_noise generator ();

    // The curve as a memory, which simulators index faster than a vector.
    int curve [0:pcm_tables::AMPLITUDE_MAX+1];

    initial begin
        seed_low = 0;
        seed_high = 0;
        tile = 0;
        /* verilator unroll_disable */
        for (int place = 0; place <= pcm_tables::AMPLITUDE_MAX + 1; place++)
            curve[place] = 32'(
                pcm_tables::CURVE[place * pcm_tables::CURVE_BITS +: pcm_tables::CURVE_BITS]);
    end

    function automatic int scaled(input int sample, input int deviation);
        scaled = (sample * deviation) >>> pcm_tables::SAMPLE_FRACTION;
    endfunction

    // Code of a device with unlimited SET code `conductance` after a pulse that melts.
    function automatic int melted(input int conductance, input int place);
        int limited, index, part;
        limited = place > PLACE_MAX ? PLACE_MAX : place;
        index = limited / ONE;
        part = limited % ONE;
        melted = (conductance * (curve[index] * (ONE - part) + curve[index + 1] * part))
            >>> (pcm_tables::CURVE_FRACTION + pcm_tables::AMPLITUDE_FRACTION);
    endfunction

    // Code of device `index` of the cell in `row` and `column` after a pulse. `code` is the code
    // before, and `number` the number of the array's pulse.
    task automatic pulse(
        input int unsigned row,
        input int unsigned column,
        input [1:0] index,
        input set,
        input [pcm_tables::AMPLITUDE_BITS-1:0] amplitude,
        input int unsigned number,
        input [7:0] code,
        output [7:0] after
    );
        int unsigned cell_;
        int drawn, conductance, place, noise, result;
        cell_ = row << pcm_tables::ROW_SHIFT | column;
        generator.draw(seed_low, seed_high, cell_, 0, tile, pcm_tables::DOMAIN_SET);
        drawn = generator.sample[index];
        conductance = pcm_tables::SET_MEAN + scaled(drawn, pcm_tables::SET_SPREAD);
        if (conductance < 0) conductance = 0;
        if (conductance > pcm_tables::SET_LIMIT) conductance = pcm_tables::SET_LIMIT;
        generator.draw(seed_low, seed_high, cell_, number, tile, pcm_tables::DOMAIN_PULSE);
        noise = generator.sample[index];
        if (set) result = conductance + scaled(noise, pcm_tables::SET_NOISE);
        else begin
            generator.draw(seed_low, seed_high, cell_, 0, tile, pcm_tables::DOMAIN_SHIFT);
            place = 32'(amplitude) * ONE
                  + scaled(generator.sample[index], pcm_tables::SHIFT_SPREAD)
                  + scaled(noise, pcm_tables::JITTER);
            if (place >= pcm_tables::MELT_AMPLITUDE * ONE)
                result = melted(conductance, place)
                       + scaled(noise < 0 ? -noise : noise, pcm_tables::RESET_NOISE);
            else if (conductance > 32'(code))
                result = 32'(code) + (((conductance - 32'(code)) * pcm_tables::GROWTH)
                                      >>> pcm_tables::GROWTH_FRACTION);
            else result = 32'(code);
        end
        if (drawn < pcm_tables::STUCK_SAMPLE) after = code;
        else if (result < 0) after = 0;
        else if (result > pcm_tables::DEVICE_MAX) after = 8'(pcm_tables::DEVICE_MAX);
        else after = 8'(result);
    endtask
endmodule
