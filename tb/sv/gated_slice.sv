// A GDPU slice behind a clock gate, as on a chip: its clock stops on its own request.

module gated_slice #(parameter int UNITS = 1) (
    input clk, input rst,
    input bus_request, input bus_write, input [15:0] bus_address, input [31:0] bus_write_data,
    output bus_done, output bus_error, output [31:0] bus_read_data,
    input [2*UNITS*8-1:0] in_tdata, input [2*UNITS-1:0] in_tkeep, input [1:0] in_tlast,
    input [1:0] in_tvalid, output [1:0] in_tready,
    output [2*UNITS*8-1:0] out_tdata, output [2*UNITS-1:0] out_tkeep, output [1:0] out_tlast,
    output [1:0] out_tvalid, input [1:0] out_tready,
    output awake, output error
);
    wire gated;
    clock_gate gate (
        .clk(clk), .enable(awake | rst | bus_request | (|in_tvalid)), .gated(gated)
    );
    gdpu_slice slice (
        .clk(gated), .rst(rst),
        .bus_request(bus_request), .bus_write(bus_write), .bus_address(bus_address),
        .bus_write_data(bus_write_data), .bus_done(bus_done), .bus_error(bus_error),
        .bus_read_data(bus_read_data),
        .packets_in_tdata(in_tdata), .packets_in_tkeep(in_tkeep), .packets_in_tlast(in_tlast),
        .packets_in_tvalid(in_tvalid), .packets_in_tready(in_tready),
        .packets_out_tdata(out_tdata), .packets_out_tkeep(out_tkeep), .packets_out_tlast(out_tlast),
        .packets_out_tvalid(out_tvalid), .packets_out_tready(out_tready),
        .awake(awake), .error(error)
    );
endmodule
