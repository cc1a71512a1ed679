// A tile between a stream player and a stream recorder, its registers driven by Python.

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
    input  [15:0] s_axil_awaddr,
    input  [2:0]  s_axil_awprot,
    input         s_axil_awvalid,
    output        s_axil_awready,
    input  [31:0] s_axil_wdata,
    input  [3:0]  s_axil_wstrb,
    input         s_axil_wvalid,
    output        s_axil_wready,
    output [1:0]  s_axil_bresp,
    output        s_axil_bvalid,
    input         s_axil_bready,
    input  [15:0] s_axil_araddr,
    input  [2:0]  s_axil_arprot,
    input         s_axil_arvalid,
    output        s_axil_arready,
    output [31:0] s_axil_rdata,
    output [1:0]  s_axil_rresp,
    output        s_axil_rvalid,
    input         s_axil_rready
);
    wire [UNITS*8-1:0] in_data, out_data;
    wire [UNITS-1:0] in_keep, out_keep;
    wire in_last, in_valid, in_ready, out_last, out_valid, out_ready;

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

    axi_tile tile (
        .aclk(aclk), .mvm_clk(mvm_clk), .aresetn(aresetn),
        .s_axil_awaddr(s_axil_awaddr), .s_axil_awprot(s_axil_awprot),
        .s_axil_awvalid(s_axil_awvalid), .s_axil_awready(s_axil_awready),
        .s_axil_wdata(s_axil_wdata), .s_axil_wstrb(s_axil_wstrb),
        .s_axil_wvalid(s_axil_wvalid), .s_axil_wready(s_axil_wready),
        .s_axil_bresp(s_axil_bresp), .s_axil_bvalid(s_axil_bvalid),
        .s_axil_bready(s_axil_bready),
        .s_axil_araddr(s_axil_araddr), .s_axil_arprot(s_axil_arprot),
        .s_axil_arvalid(s_axil_arvalid), .s_axil_arready(s_axil_arready),
        .s_axil_rdata(s_axil_rdata), .s_axil_rresp(s_axil_rresp),
        .s_axil_rvalid(s_axil_rvalid), .s_axil_rready(s_axil_rready),
        .s_axis_tdata(in_data), .s_axis_tkeep(in_keep), .s_axis_tlast(in_last),
        .s_axis_tvalid(in_valid), .s_axis_tready(in_ready), .s_axis_tuser(4'd0),
        .s_axis_rx_tdata({UNITS*8{1'b0}}), .s_axis_rx_tkeep({UNITS{1'b0}}), .s_axis_rx_tlast(1'b0),
        .s_axis_rx_tvalid(1'b0), .s_axis_rx_tready(), .s_axis_rx_tuser(4'd0),
        .m_axis_tdata(out_data), .m_axis_tkeep(out_keep), .m_axis_tlast(out_last),
        .m_axis_tvalid(out_valid), .m_axis_tready(out_ready)
    );
endmodule
