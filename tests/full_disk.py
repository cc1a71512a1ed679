"""Run commands on a disk that is full: `python tests/full_disk.py`, as root or where a user may
have mounts of its own (`unshare`).

Each command writes to a small file system of its own. It must end with exit status 2 and one
sentence that names a path there and the reason, and leave no result and no temporary file.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
TINY = ("--chip", "tiny", "--net", "fashion_tiny", "--images", "5")
CASES = (
    ("4k", ("compile", "--chip", "tiny", "--net", "resnet_tiny")),
    ("400k", ("sim", "--chip", "tiny", "--net", "conv_32x16")),
    ("400k", ("sim", "--chip", "tiny", "--net", "conv_32x16", "--sim", "icarus")),
    ("8k", ("accuracy", *TINY)),
    ("40k", ("sweep", *TINY, "--seeds", "1", "--workers", "1", "--pcm", "ideal")),
    ("400k", ("pcm-write", "--chip", "tiny")),
    ("400k", ("calibrate", "--chip", "tiny")),
    ("8k", ("run", "--chip", "tiny", "--net", "conv_32x16")),
    ("400k", ("run", "--chip", "tiny", "--net", "conv_32x16", "--target", "sim")),
    ("400k", ("verilog", "--chip", "tiny")),
)
"""Size of the disk, and the command; where that is enough, files fill it up (`FILLED`)."""
FILLED = ("accuracy", "run")
RESULTS = ("result*.json", "accuracy*", "*.program", "table.csv", "*.png", "report.json", "tmp*")
"""What no failed command leaves."""
INSIDE = "--inside"


def namespace() -> list[str] | None:
    """The command that gives a process mounts of its own; None if nothing here does."""
    for command in (["unshare", "--mount"], ["unshare", "--mount", "--map-root-user"]):
        trial = [*command, "mount", "-t", "tmpfs", "none", tempfile.gettempdir()]
        if shutil.which("unshare") and not subprocess.run(trial, capture_output=True).returncode:
            return command
    return None


def check(size: str, arguments: tuple[str, ...], disk: Path) -> list[str]:
    """Run a command with `disk` as its build folder; what is wrong with how it ended."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", disk], check=True)
    try:
        if arguments[0] in FILLED:
            fill(disk)
        run = subprocess.run(
            [sys.executable, "-m", "caduceus", *arguments], cwd=REPOSITORY, text=True,
            capture_output=True, env=os.environ | {"CADUCEUS_BUILD": str(disk)}, check=False,
        )  # fmt: skip
        left = [str(file) for name in RESULTS for file in disk.rglob(name)]
    finally:
        subprocess.run(["umount", disk], check=True)
    faults = [f"left {file}" for file in left]
    if run.returncode != 2:
        faults.append(f"exit status {run.returncode}")
    sentence = run.stderr
    if sentence.count("\n") != 1 or not sentence.startswith("caduceus: "):
        faults.append("not one sentence")
    if str(disk) not in sentence or "No space left on device" not in sentence:
        faults.append("no path, or no reason")
    if "Traceback" in run.stdout + run.stderr:
        faults.append("a traceback")
    return [f"{fault}: {sentence.strip()[-500:]}" for fault in faults]


def fill(disk: Path) -> None:
    """Leave no byte of a disk free, and no room for a new file's first page."""
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1024))
        except OSError:
            pass


def main() -> None:
    """Run all cases, or those of the commands that are named, in mounts of their own."""
    if INSIDE not in sys.argv:
        command = namespace()
        if command is None:
            sys.exit("full_disk: no mounts of one's own here: run it as root, or allow unshare")
        inside = [*command, sys.executable, __file__, INSIDE, *sys.argv[1:]]
        run = subprocess.run(inside, check=False)
        sys.exit(run.returncode)
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        wanted = [case for case in CASES if not sys.argv[2:] or case[1][0] in sys.argv[2:]]
        for size, arguments in wanted:
            faults = check(size, arguments, Path(folder))
            failed |= bool(faults)
            print(f"{'FAILED' if faults else 'ok'}: {size}: {' '.join(arguments)}", flush=True)
            for fault in faults:
                print(f"    {fault}", flush=True)
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
