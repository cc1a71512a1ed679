// A tile between a stream player and a stream recorder, its registers behind a register player.

module tile_harness #(
    parameter int UNITS = 1
) (
    input         aclk,
    input         mvm_clk,
    input         aresetn,
    // One clock: play and record the streams number `index`.
    input         start,
    input  [15:0] index,
    input  [31:0] expected_beats,
    output [31:0] recorded_beats,
    output        done,
    output        surplus,
    // Rising edges of each clock since time 0.
    output reg [63:0] aclk_cycles,
    output reg [63:0] mvm_cycles,
    // A change plays the register accesses, see `register_player.sv`.
    input         play_accesses,
    output        accesses_done,
    output [31:0] accesses_completed,
    output [1:0]  accesses_response,
    output        accesses_hung
);
    wire [UNITS*8-1:0] in_data, out_data;
    wire [UNITS-1:0] in_keep, out_keep;
    wire in_last, in_valid, in_ready, out_last, out_valid, out_ready;
    wire [15:0] awaddr, araddr;
    wire [31:0] wdata, rdata;
    wire [3:0] wstrb;
    wire [2:0] awprot, arprot;
    wire [1:0] bresp, rresp;
    wire awvalid, awready, wvalid, wready, bvalid, bready, arvalid, arready, rvalid, rready;

    initial begin
        aclk_cycles = 0;
        mvm_cycles = 0;
    end
    always @(posedge aclk) aclk_cycles <= aclk_cycles + 1;
    always @(posedge mvm_clk) mvm_cycles <= mvm_cycles + 1;

    stream_player #(.UNITS(UNITS)) player (
        .clk(aclk), .start(start), .index(index),
        .tdata(in_data), .tkeep(in_keep), .tlast(in_last), .tvalid(in_valid), .tready(in_ready)
    );

    stream_recorder #(.UNITS(UNITS)) recorder (
        .clk(aclk), .start(start), .index(index), .expected(expected_beats), .now(aclk_cycles),
        .beats(recorded_beats), .done(done), .surplus(surplus),
        .tdata(out_data), .tkeep(out_keep), .tlast(out_last), .tvalid(out_valid), .tready(out_ready)
    );

    register_player accesses (
        .clk(aclk), .start(play_accesses), .done(accesses_done),
        .completed(accesses_completed), .response(accesses_response), .hung(accesses_hung),
        .m_axil_awaddr(awaddr), .m_axil_awprot(awprot), .m_axil_awvalid(awvalid),
        .m_axil_awready(awready), .m_axil_wdata(wdata), .m_axil_wstrb(wstrb),
        .m_axil_wvalid(wvalid), .m_axil_wready(wready), .m_axil_bresp(bresp),
        .m_axil_bvalid(bvalid), .m_axil_bready(bready), .m_axil_araddr(araddr),
        .m_axil_arprot(arprot), .m_axil_arvalid(arvalid), .m_axil_arready(arready),
        .m_axil_rdata(rdata), .m_axil_rresp(rresp), .m_axil_rvalid(rvalid), .m_axil_rready(rready)
    );

    axi_tile tile (
        .aclk(aclk), .mvm_clk(mvm_clk), .aresetn(aresetn),
        .s_axil_awaddr(awaddr), .s_axil_awprot(awprot),
        .s_axil_awvalid(awvalid), .s_axil_awready(awready),
        .s_axil_wdata(wdata), .s_axil_wstrb(wstrb),
        .s_axil_wvalid(wvalid), .s_axil_wready(wready),
        .s_axil_bresp(bresp), .s_axil_bvalid(bvalid),
        .s_axil_bready(bready),
        .s_axil_araddr(araddr), .s_axil_arprot(arprot),
        .s_axil_arvalid(arvalid), .s_axil_arready(arready),
        .s_axil_rdata(rdata), .s_axil_rresp(rresp),
        .s_axil_rvalid(rvalid), .s_axil_rready(rready),
        .s_axis_tdata(in_data), .s_axis_tkeep(in_keep), .s_axis_tlast(in_last),
        .s_axis_tvalid(in_valid), .s_axis_tready(in_ready), .s_axis_tuser(4'd0),
        .s_axis_rx_tdata({UNITS*8{1'b0}}), .s_axis_rx_tkeep({UNITS{1'b0}}), .s_axis_rx_tlast(1'b0),
        .s_axis_rx_tvalid(1'b0), .s_axis_rx_tready(), .s_axis_rx_tuser(4'd0),
        .m_axis_tdata(out_data), .m_axis_tkeep(out_keep), .m_axis_tlast(out_last),
        .m_axis_tvalid(out_valid), .m_axis_tready(out_ready)
    );
endmodule
