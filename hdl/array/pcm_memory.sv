// The PCM state of a tile as a memory, loaded from a file or written word by word.
//
// The file is `state_<index>.hex` in the folder of the plusarg `+pcm_state=<folder>`, with the
// layout in caduceus/spec/pcm_state.py. With `+pcm_final=<folder>` the memory's content at the end
// of the simulation, after all PCM writes, is written to `<folder>/state_<tile>.hex`, which can be
// loaded again. Before the first load every device's code is 0.
//
// Reads are numbered from 0 after a load, for their noise. With `+pcm_reads=<folder>` they go on
// after as many as `<folder>/reads_<index>.txt` says, as if the array had done these before.
//
// Behavioral, for simulation. Use: call `load`, or `write` word by word, then read `words`.

module pcm_memory #(
    parameter [31:0] ROWS = pcm_tables::ROWS,
    parameter [31:0] COLUMNS = pcm_tables::COLUMNS
);
    localparam int CELLS_AT = pcm_tables::MEMORY_HEADER_WORDS;
    localparam int COLUMNS_AT = CELLS_AT + ROWS * COLUMNS;
    localparam int MEMORY_WORDS = COLUMNS_AT + COLUMNS * pcm_tables::MEMORY_COLUMN_WORDS;
    // A word is eight digits and a line end.
    localparam int MEMORY_BYTES = MEMORY_WORDS * 9;

    reg [31:0] words [0:MEMORY_WORDS-1];

    initial begin
        /* verilator unroll_disable */
        for (int word = CELLS_AT; word < COLUMNS_AT; word++) words[word] = 0;
    end

    // Description of a fault in the state file; empty if there is none.
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
            if (position != 0 || magic != pcm_tables::MEMORY_MAGIC) fault = "not a PCM state";
            else if (sizes != {16'(ROWS), 16'(COLUMNS)})
                fault = $sformatf("array of the PCM state: got %0dx%0d, expected %0dx%0d",
                                  sizes[31:16], sizes[15:0], ROWS, COLUMNS);
            else if (length != MEMORY_BYTES)
                fault = $sformatf("length of the PCM state: got %0d bytes, expected %0d",
                                  length, MEMORY_BYTES);
        end
    endfunction

    task automatic load(input [15:0] index);
        string folder, path, problem;
        if ($value$plusargs("pcm_state=%s", folder) == 0) begin
            $fatal(1, "+pcm_state: missing plusarg: expected the folder of the PCM states");
        end else begin
            path = $sformatf("%s/state_%0d.hex", folder, index);
            problem = fault(path);
            if (problem != "") $fatal(1, "%s: %s", path, problem);
            else begin
                // Some simulators only warn of a bad digit and stop reading there.
                words[MEMORY_WORDS-1] = 32'hxxxxxxxx;
                $readmemh(path, words);
                if (^words[MEMORY_WORDS-1] === 1'bx)
                    $fatal(1, "%s: digits of the PCM state: expected hexadecimal digits only",
                    path);
            end
        end
    endtask

    // Number of the first read after a load from a file.
    function automatic int unsigned first_read(input [15:0] index);
        string folder, path;
        int file, found;
        reg [31:0] number;
        number = 0;
        if ($value$plusargs("pcm_reads=%s", folder) != 0) begin
            path = $sformatf("%s/reads_%0d.txt", folder, index);
            found = 0;
            file = $fopen(path, "r");
            if (file != 0) begin
                found = $fscanf(file, "%d", number);
                $fclose(file);
            end
            if (found != 1) $fatal(1, "%s: cannot read the number of the first read", path);
        end
        first_read = number;
    endfunction

    // The next word from the host; words beyond the last are dropped.
    int at = MEMORY_WORDS;

    task automatic write(input first, input [31:0] word);
        if (first) at = 0;
        if (at < MEMORY_WORDS) begin
            words[at] = word;
            at = at + 1;
        end
    endtask

    final begin
        string folder, path;
        int file;
        if ($value$plusargs("pcm_final=%s", folder) != 0) begin
            path = $sformatf("%s/state_%0d.hex", folder, words[4]);
            file = $fopen(path, "w");
            if (file == 0) $display("%s: cannot write the PCM state", path);
            else begin
                for (int word = 0; word < MEMORY_WORDS; word++) $fdisplay(file, "%08h", words[word]);
                $fclose(file);
            end
        end
    end
endmodule
