"""What the tests of the set-up make fake programs with, and how they judge a message."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

OLD, NEW, NEWER = "5.006", "5.036", "5.040"
"""Releases of Verilator: Debian 12's, the first that is new enough, and one after it."""


def script(path: Path, text: str) -> Path:
    """Write an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + text + "\n")
    path.chmod(0o755)
    return path


def fake_verilator(path: Path, version: str) -> Path:
    """Write a program that knows its version, like Verilator, and nothing else."""
    return script(path, f"echo 'Verilator {version} 2025-01-01 rev v{version}'")


def is_one_sentence(text: str) -> bool:
    """Tell whether a message is what a user should see."""
    return text.endswith(".") and "\n" not in text and "Traceback" not in text
