"""Speed of the golden model and of other models of analog tiles, measured in one run.

`python -m benchmarks.speed` prints the table. All figures are matrix-vector multiplications per
second of processor time on one thread, with tiles of 256x256.
"""

import click
from rich.console import Console
from rich.table import Table

from benchmarks import golden, peers

PARTS = {"counts": "counts, exact", "run": "INT8, exact"}
TITLE = "tiles of 256x256, MVM/s on one thread"
CAPTION = "exact: bit by bit; noise: of every window's charge, or of every output"


def run(seconds: float = 0.1) -> peers.Peers:
    """Rows of the golden model, then of the peers with what is missing, as in `benchmarks.peers`.

    Args:
        seconds: processor time of one measurement.
    """
    rows = [
        {
            "name": f"golden model, {row['mode']}",
            "noise": "window" if row["noise"] else "none",
            "computes": what,
            "batch": row["batch"],
            "rate": row[part],
        }
        for row in golden.run(seconds=seconds)
        for part, what in PARTS.items()
    ]
    others = peers.run(seconds)
    return peers.Peers(rows + others.rows, others.missing)


def show(measured: peers.Peers, console: Console) -> None:
    """Print the table, and a line for each that is not in it; rows by batch."""
    table = Table(title=TITLE, caption=CAPTION)
    for heading in ("model", "noise", "computed", "batch", "MVM/s"):
        table.add_column(heading, justify="right" if heading in ("batch", "MVM/s") else "left")
    batch = None
    for row in sorted(measured.rows, key=lambda row: row["batch"]):
        if batch not in (None, row["batch"]):
            table.add_section()
        batch = row["batch"]
        table.add_row(row["name"], row["noise"], row["computes"], f"{batch:,}", f"{row['rate']:,}")
    console.print(table)
    for line in measured.missing:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


@click.command()
@click.option("--seconds", default=0.1, show_default=True, help="Length of one measurement.")
def main(seconds: float) -> None:
    """Measure the golden model and its peers."""
    with Console(stderr=True).status("measuring"):
        measured = run(seconds)
    show(measured, Console())


if __name__ == "__main__":
    main()
