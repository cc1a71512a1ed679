"""Memories and products in plain Verilog, which synthesis puts into blocks of RAM and multipliers.

A bench has each of them twice, as it is and as a netlist of cells, with the same random inputs.
"""

import random
from dataclasses import dataclass

CLOCKS = 1000


@dataclass(frozen=True)
class Memory:
    """One write port and one read port.

    Attributes:
        width, depth: bits per word, words.
        lanes: parts of a word that are written on their own.
        reads: "old" or "new": what a read gets of a word that is written in the same clock;
            "apart": by a clock of its own; "same_old", "same_new", "same_hold": there is one
            address for both, and a read in the clock of a write gets the old or new word or keeps
            what it had.
        reset: of what was read: "", "sync" or "async".
        edge: of the clocks.
    """

    name: str
    width: int
    depth: int
    reads: str
    lanes: int = 1
    reset: str = ""
    edge: str = "posedge"

    @property
    def address_bits(self) -> int:
        return (self.depth - 1).bit_length()

    def contents(self) -> str:
        """For `$readmemh`."""
        source = random.Random(self.name)
        return "".join(f"{source.getrandbits(self.width):x}\n" for _ in range(self.depth))

    def module(self, prefix: str = "") -> str:
        top, step = self.address_bits - 1, self.width // self.lanes
        writes = "\n".join(
            f"        if (we & be[{lane}]) m[wa][{lane * step} +: {step}] <= "
            f"d[{lane * step} +: {step}];"
            for lane in range(self.lanes)
        )
        return f"""
module {prefix}{self.name} (
    input clk, rclk, we, re, rst, input [3:0] be, input [13:0] a, b, input [35:0] d,
    output [{self.width - 1}:0] q
);
    (* ram_style = "block" *) reg [{self.width - 1}:0] m [0:{self.depth - 1}];
    wire [{top}:0] wa = a[{top}:0], ra = {"a" if "same" in self.reads else "b"}[{top}:0];
    initial $readmemh("{self.name}.hex", m);
    always @({self.edge} clk) begin
{writes}
    end
{self._read()}
endmodule
"""

    def _read(self) -> str:
        clock = "rclk" if self.reads == "apart" else "clk"
        when = "re & ~we" if self.reads == "same_hold" else "re"
        word = "we & be[0] & wa == ra ? d : m[ra]" if self.reads.endswith("new") else "m[ra]"
        also = " or posedge rst" if self.reset == "async" else ""
        clear = "if (rst) got <= 0; else " if self.reset else ""
        return (
            f"    reg [{self.width - 1}:0] got;\n    initial got = 0;\n    assign q = got;\n"
            f"    always @({self.edge} {clock}{also}) {clear}if ({when}) got <= {word};"
        )


@dataclass(frozen=True)
class Product:
    """A product of two numbers."""

    name: str
    a: int
    b: int
    signed: bool

    width = property(lambda self: self.a + self.b)

    def module(self, prefix: str = "") -> str:
        how = "$signed" if self.signed else ""
        return f"""
module {prefix}{self.name} (
    input clk, rclk, we, re, rst, input [3:0] be, input [13:0] a, b, input [35:0] d,
    output [{self.width - 1}:0] q
);
    wire [71:0] all = {{d, b, a, ~d[7:0]}};
    assign q = {how}(all[{self.a - 1}:0]) * {how}(all[71:{72 - self.b}]);
endmodule
"""


MEMORIES = (
    Memory("x1", 1, 16384, "old"),
    Memory("x2", 2, 8192, "apart"),
    Memory("x4", 4, 4096, "old", lanes=4),
    Memory("x8", 8, 2048, "apart"),
    Memory("x9", 9, 2048, "old"),
    Memory("x18", 18, 1024, "old", lanes=2),
    Memory("x18_apart", 18, 1024, "apart", lanes=2),
    Memory("x36", 36, 512, "old"),
    Memory("x36_lanes", 36, 512, "apart", lanes=4),
    Memory("x32_lanes", 32, 512, "old", lanes=4),
    Memory("deep", 20, 4096, "apart"),
    Memory("new", 18, 1024, "new"),
    Memory("same_old", 18, 1024, "same_old", lanes=2),
    Memory("same_new", 9, 2048, "same_new"),
    Memory("same_hold", 18, 1024, "same_hold"),
    Memory("sync", 18, 1024, "apart", reset="sync"),
    Memory("sync_wide", 36, 512, "apart", reset="sync"),
    Memory("same_sync", 9, 2048, "same_old", reset="sync"),
    Memory("async", 18, 1024, "apart", reset="async"),
    Memory("falling", 18, 1024, "apart", edge="negedge"),
)
PRODUCTS = tuple(
    Product(f"mul_{a}_{b}_{'s' if signed else 'u'}", a, b, signed)
    for a, b in ((18, 18), (9, 9), (16, 11), (17, 5), (25, 20), (36, 36))
    for signed in (False, True)
)
CASES = (*MEMORIES, *PRODUCTS)
_PORTS = ".clk(clk), .rclk(rclk), .we(we), .re(re), .rst(rst), .be(be), .a(a), .b(b), .d(d)"


def sources() -> str:
    """All modules, and module `top`, which holds them."""
    outputs = ", ".join(f"output [{case.width - 1}:0] q_{case.name}" for case in CASES)
    instances = "\n".join(f"    {c.name} u_{c.name} ({_PORTS}, .q(q_{c.name}));" for c in CASES)
    return "".join(case.module() for case in CASES) + (
        "\nmodule top (input clk, rclk, we, re, rst, input [3:0] be, input [13:0] a, b,\n"
        f"    input [35:0] d, {outputs});\n{instances}\nendmodule\n"
    )


def bench() -> str:
    """Module `bench` around the netlist of `top` and the modules as they are, called `rtl_<name>`.

    It prints `<name> <values> <that differ>` for each. Addresses are of 64 words, so that reads and
    writes meet often, yet each of their bits is 0 and 1. An unknown bit equals no other.
    """
    modules = "".join(case.module("rtl_") for case in CASES)
    wires = "\n".join(
        f"    wire [{c.width - 1}:0] q_{c.name}, r_{c.name}; integer n_{c.name}, w_{c.name};\n"
        f"    rtl_{c.name} m_{c.name} ({_PORTS}, .q(r_{c.name}));"
        for c in CASES
    )
    zero = " ".join(f"n_{c.name} = 0; w_{c.name} = 0;" for c in CASES)
    looks = "\n".join(
        f"        n_{c.name} = n_{c.name} + 1;"
        f" if (r_{c.name} !== q_{c.name}) w_{c.name} = w_{c.name} + 1;"
        for c in CASES
    )
    reported = "\n".join(
        f'        $display("{c.name} %0d %0d", n_{c.name}, w_{c.name});' for c in CASES
    )
    connected = ", ".join(f".q_{c.name}(q_{c.name})" for c in CASES)
    return f"""`timescale 1ns/1ps
{modules}
module bench;
    reg clk, rclk, we, re, rst;
    reg [3:0] be;
    reg [13:0] a, b;
    reg [35:0] d;
    reg [5:0] r, s;
{wires}
    top netlist ({_PORTS}, {connected});
    integer step;

    // Edges of the two clocks never coincide with each other, nor with a change of the inputs.
    initial begin rclk = 0; #1.25; forever #3.5 rclk = ~rclk; end
    initial begin
        {zero}
        clk = 0; we = 0; re = 0; rst = 0; be = 0; a = 0; b = 0; d = 0;
        for (step = 0; step < {CLOCKS}; step = step + 1) begin
            #2;
            we = $urandom; re = $urandom | $urandom; rst = ($urandom & 15) == 0; be = $urandom;
            r = $urandom; s = ($urandom & 1) ? r : $urandom;
            a = {{r, r, r[1:0]}}; b = {{s, s, s[1:0]}}; d = {{$urandom, $urandom}};
            #3 clk = 1;
            #1;
{looks}
            #4 clk = 0;
            #1;
{looks}
        end
{reported}
        $finish;
    end
endmodule
"""
