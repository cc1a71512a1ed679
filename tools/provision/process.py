"""Run other programs for the set-up: output into one log, failures turned into one sentence."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from provision.report import DiskFullError, SetupError, say

SECONDS_BETWEEN_LOOKS = 0.2
"""How often a running program is looked at to show its progress."""

DISK_FULL = re.compile(
    r"No space left on device|Disk quota exceeded|enough free space|\[Errno (?:28|122)\]",
    re.IGNORECASE,
)
NO_NETWORK = re.compile(
    r"Failed to establish a new connection|Name or service not known"
    r"|Temporary failure (?:in name )?resol|Could not resolve|Connection refused"
    r"|Network is unreachable|No route to host|timed out"
    r"|ConnectTimeout|Max retries exceeded|Unable to connect|Cannot initiate the connection"
    r"|Could not connect|Failed to fetch|unable to access|ProxyError|CERTIFICATE_VERIFY_FAILED"
    r"|Connection reset by peer|Remote end closed",
    re.IGNORECASE,
)
TELLING = [
    re.compile(words, re.IGNORECASE)
    for words in (r"\berror: |^E: |: not found|denied", r"\*\*\* ", r"^fatal: ")
]
"""What marks the line that tells why a program failed, the surest first.

git's "fatal" comes late: Verilator's sources ask git about themselves and do without an answer.
"""
SPECIAL = re.compile(r"""[\s'"$#%:;&|<>()*?!`^\\\[\]{}]""")
"""Characters of a path with a meaning to make, a shell or PATH."""
BAD_HASH = re.compile(r"DO NOT MATCH THE HASHES|Hash Sum mismatch", re.IGNORECASE)


def explain_failure(step: str, output: str, log: Path, place: Path) -> SetupError:
    """Say in one sentence why `step` failed and what to do, from what the program printed.

    Args:
        step: What was being done, as in "installing the Python packages".
        output: What the failed program printed.
        log: Where all of that is kept.
        place: The folder the step was writing to.
    """
    if DISK_FULL.search(output):
        return DiskFullError(
            f"The disk became full while {step}: free some space on the file system of {place} "
            "and run make again."
        )
    if BAD_HASH.search(output):
        return SetupError(
            f"A file downloaded while {step} is not the one that was pinned: check that nothing on "
            f"the network alters downloads, and run make again (details in {log})."
        )
    if NO_NETWORK.search(output):
        return SetupError(
            f"The network did not answer while {step}: check the connection, and proxy or mirror "
            f"settings if there are any, and run make again (details in {log})."
        )
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for words in TELLING for line in lines if words.search(line)]
    reason = [*telling, *lines[-1:], "nothing"][0][:200]
    return SetupError(
        f"It failed while {step}, saying {reason!r}: mend that and run make again "
        f"(all it said is in {log})."
    )


def run(
    command: Sequence[str | Path],
    step: str,
    log: Path,
    place: Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    look: Callable[[str], None] | None = None,
) -> str:
    """Run `command` to its end with its output in the log, and return that output.

    Args:
        command: Program and arguments.
        step: What is being done, for the sentence of a failure.
        log: Where the output is kept.
        place: The folder being written to, named when the disk is full.
        environment: Variables of the program, those of this process when not given.
        folder: Where the program runs.
        look: Called with the output so far every moment while the program runs.

    Raises:
        SetupError: The program is not there, or ended with a status other than 0.
    """
    words = [str(word) for word in command]
    with log.open("a") as out, log.open(errors="replace") as back:
        out.write("\n$ " + " ".join(words) + "\n")
        out.flush()
        back.seek(0, os.SEEK_END)
        output = ""
        try:
            process = subprocess.Popen(words, stdout=out, stderr=out, env=environment, cwd=folder)
        except FileNotFoundError:
            raise SetupError(
                f"The program {words[0]} is needed for {step}: install it and run make again."
            ) from None
        try:
            while True:
                try:
                    status = process.wait(SECONDS_BETWEEN_LOOKS)
                    break
                except subprocess.TimeoutExpired:
                    output += back.read()
                    if look:
                        look(output)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        output += back.read()
    if status != 0:
        raise explain_failure(step, output, log, place)
    return output


def ask(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> str:
    """Return what a quick command prints, or an empty string when it fails or is not there."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""


def variables_without(*names: str) -> dict[str, str]:
    """Return a copy of this process's environment variables, less those named."""
    return {name: value for name, value in os.environ.items() if name not in names}


def require_space(place: Path, mebibytes: int, step: str) -> None:
    """Stop before a step that could not finish: SetupError unless `place` has that much free."""
    free = shutil.disk_usage(place).free >> 20
    if free < mebibytes:
        raise DiskFullError(
            f"The disk is too full for {step}: {place} has {free} MB free and {mebibytes} MB are "
            "needed, so free some space and run make again."
        )


def require_plain_path(place: Path, what: str, cure: str) -> None:
    """Refuse a path that Verilator's makefiles, their shell or a virtual environment misread.

    Letters beyond ASCII are no problem.
    """
    found = SPECIAL.search(str(place))
    if found:
        character = "a space" if found[0].isspace() else f"the character {found[0]}"
        raise SetupError(
            f"The path of {what}, {str(place)!r}, has {character} in it, which Verilator's "
            f"makefiles cannot handle: {cure}."
        )


@contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Hold `lock` for the length of a block, waiting for another set-up that holds it.

    The lock belongs to the open file, so a killed set-up leaves nothing that blocks the next.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another set-up is running, waiting for it to finish ({lock})")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
