"""Plain Verilog identifiers, readable and valid in every tool."""

import re
from collections.abc import Iterable

_KEYWORDS = """
accept_on alias always always_comb always_ff always_latch and assert assign assume automatic
before begin bind bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle
checker class clocking cmos config const constraint context continue cover covergroup
coverpoint cross deassign default defparam design disable dist do edge else end endcase
endchecker endclass endclocking endconfig endfunction endgenerate endgroup endinterface
endmodule endpackage endprimitive endprogram endproperty endsequence endspecify endtable
endtask enum event eventually expect export extends extern final first_match for force foreach
forever fork forkjoin function generate genvar global highz0 highz1 if iff ifnone ignore_bins
illegal_bins implements implies import incdir include initial inout input inside instance int
integer interconnect interface intersect join join_any join_none large let liblist library
local localparam logic longint macromodule matches medium modport module nand negedge nettype
new nexttime nmos nor noshowcancelled not notif0 notif1 null or output package packed
parameter pmos posedge primitive priority program property protected pull0 pull1 pulldown
pullup pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase randsequence rcmos real
realtime ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1
s_always s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal
showcancelled signed small soft solve specify specparam static string strong strong0 strong1
struct super supply0 supply1 sync_accept_on sync_reject_on table tagged task this throughout
time timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg type
typedef union unique unique0 unsigned until until_with untyped use uwire var vectored virtual
void wait wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor
"""
"""Reserved words of SystemVerilog (IEEE 1800-2017), which include Verilog's."""
_RESERVED = frozenset(_KEYWORDS.split())
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPED = re.compile(r"\\(\S+) ?")
_IDENTIFIER = re.compile(r"\\\S+|[A-Za-z_][A-Za-z0-9_$]*")


def plain(name: str) -> bool:
    """Whether a name needs no escape in any tool."""
    return bool(_PLAIN.fullmatch(name)) and name not in _RESERVED


def snake(name: str) -> str:
    """Module name of a class: `LinkBuffer` becomes `link_buffer`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower().strip("_")


def clean(names: Iterable[str], prefix: str = "", taken: Iterable[str] = ()) -> dict[str, str]:
    """Map all `names` of one scope to plain names; plain names are unchanged.

    Amaranth distinguishes equal names by a dollar and a number; here the first keeps the bare name.

    Args:
        names: the names, in order.
        prefix: prefix of a changed name if the bare name is taken.
        taken: other names in use in the scope.
    """
    names = list(dict.fromkeys(names))
    used = {*taken, *filter(plain, names)}
    cleaned = {name: name for name in names if plain(name) and name not in taken}
    for name in names:
        if name in cleaned:
            continue
        words = re.sub(r"\W+", "_", re.sub(r"(\$\d+)+$", "", name)).strip("_") or "signal"
        bare = f"n{words}" if words[0].isdigit() else words
        candidate, number = bare, 1
        if prefix and (candidate in used or not plain(candidate)):
            candidate = bare = prefix + bare
        while candidate in used or not plain(candidate):
            number += 1
            candidate = f"{bare}_{number}"
        used.add(candidate)
        cleaned[name] = candidate
    return cleaned


def without_escapes(text: str) -> str:
    """A Verilog module with plain names in place of all escaped names that it declares."""
    taken = {name for name in _IDENTIFIER.findall(text) if not name.startswith("\\")}
    new = clean((match[1] for match in _ESCAPED.finditer(text)), taken=taken)
    return _ESCAPED.sub(lambda match: new[match[1]], text)
