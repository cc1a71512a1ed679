// Uses what a simulation may need of Verilator's runtime: delays, and calls of C.

module runtime;
    import "DPI-C" function void runtime_used();

    initial begin
        #1;
        runtime_used();
    end
endmodule
