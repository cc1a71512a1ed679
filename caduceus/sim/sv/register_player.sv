// Plays register accesses of a file on an AXI4-Lite port, one after another, at the port's rate.
//
// A change of `start` opens `<folder>/accesses.txt`, folder from the plusarg `+streams=`. A line is
// an access, its numbers hexadecimal:
//
//     w <address> <word>          write the word
//     r <address>                 read a word, which becomes a line of `<folder>/words.txt`
//     p <address> <bits> <tries>  read until all of these bits are 0, at most <tries> times
//
// `done` is 0 during a play. A play ends after the last access, or early: after one that is refused,
// after a poll whose bits stay 1, or, with `hung`, after PATIENCE clocks without an answer. Then
// `completed` counts the accesses before the one that ended it, whose response is `response`.
// Python takes a hundred times longer per access, so it waits for whole plays.

module register_player #(
    parameter int ADDRESS_BITS = 16,
    parameter int PATIENCE = 10_000
) (
    input                         clk,
    input                         start,
    output reg                    done,
    output reg [31:0]             completed,
    output reg [1:0]              response,
    output reg                    hung,
    output reg [ADDRESS_BITS-1:0] m_axil_awaddr,
    output [2:0]                  m_axil_awprot,
    output reg                    m_axil_awvalid,
    input                         m_axil_awready,
    output reg [31:0]             m_axil_wdata,
    output [3:0]                  m_axil_wstrb,
    output reg                    m_axil_wvalid,
    input                         m_axil_wready,
    input [1:0]                   m_axil_bresp,
    input                         m_axil_bvalid,
    output                        m_axil_bready,
    output reg [ADDRESS_BITS-1:0] m_axil_araddr,
    output [2:0]                  m_axil_arprot,
    output reg                    m_axil_arvalid,
    input                         m_axil_arready,
    input [31:0]                  m_axil_rdata,
    input [1:0]                   m_axil_rresp,
    input                         m_axil_rvalid,
    output                        m_axil_rready
);
    int accesses = 0;
    int words = 0;
    string folder;
    string path;
    reg started;
    // The present access, and its answer.
    reg [7:0] kind;
    reg [31:0] address, bits, tries;
    reg [1:0] answer;
    reg finished;
    int waited;
    int count;

    assign m_axil_awprot = 0;
    assign m_axil_arprot = 0;
    assign m_axil_wstrb = 4'hf;
    assign m_axil_bready = 1;
    assign m_axil_rready = 1;

    initial begin
        started = 0;
        done = 1;
        completed = 0;
        response = 0;
        hung = 0;
        m_axil_awvalid = 0;
        m_axil_wvalid = 0;
        m_axil_arvalid = 0;
    end

    task automatic open;
        if ($value$plusargs("streams=%s", folder) == 0) folder = ".";
        path = $sformatf("%s/accesses.txt", folder);
        accesses = $fopen(path, "r");
        if (accesses == 0) $fatal(1, "%s: cannot read the register accesses", path);
        path = $sformatf("%s/words.txt", folder);
        words = $fopen(path, "w");
        if (words == 0) $fatal(1, "%s: cannot write the words of registers", path);
    endtask

    // Drive the next access; there may be none.
    task automatic next;
        kind = 0;
        count = $fscanf(accesses, " %c %h", kind, address);
        finished = count != 2;
        if (kind == "w") begin
            count = $fscanf(accesses, "%h", bits);
            m_axil_awaddr <= address[ADDRESS_BITS-1:0];
            m_axil_wdata <= bits;
            m_axil_awvalid <= 1;
            m_axil_wvalid <= 1;
        end else if (!finished) begin
            if (kind == "p") count = $fscanf(accesses, "%h %h", bits, tries);
            m_axil_araddr <= address[ADDRESS_BITS-1:0];
            m_axil_arvalid <= 1;
        end
    endtask

    // Blocking assignments: one edge runs through the steps below in this order.
    /* verilator lint_off BLKSEQ */
    always @(posedge clk) begin
        if (start != started) begin
            started = start;
            done <= 0;
            completed <= 0;
            response <= 0;
            hung <= 0;
            // Left by a play that nobody waits for any more.
            m_axil_awvalid <= 0;
            m_axil_wvalid <= 0;
            m_axil_arvalid <= 0;
            waited = 0;
            open;
            next;
        end else if (!done) begin
            if (m_axil_awready) m_axil_awvalid <= 0;
            if (m_axil_wready) m_axil_wvalid <= 0;
            if (m_axil_arready) m_axil_arvalid <= 0;
            answer = kind == "w" ? m_axil_bresp : m_axil_rresp;
            if (m_axil_bvalid || m_axil_rvalid) begin
                waited = 0;
                response <= answer;
                if (answer != 0) finished = 1;
                else if (kind == "p" && (m_axil_rdata & bits) != 0) begin
                    tries = tries - 1;
                    finished = tries == 0;
                    m_axil_arvalid <= !finished;
                end else begin
                    if (kind == "r") $fwrite(words, "%h\n", m_axil_rdata);
                    completed <= completed + 1;
                    next;
                end
            end else begin
                waited = waited + 1;
                if (waited == PATIENCE) begin
                    finished = 1;
                    hung <= 1;
                end
            end
            if (finished) begin
                $fclose(accesses);
                $fclose(words);
                done <= 1;
            end
        end
    end
    /* verilator lint_on BLKSEQ */
endmodule
