"""The manual agrees with the code, and its links lead somewhere."""

import dataclasses
import io
import pkgutil
import re
import tempfile
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import caduceus
from caduceus.export import register_manual

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
ROOMS = ("hdl", "golden", *(each.name for each in pkgutil.iter_modules(caduceus.__path__)))
"""What stands for `caduceus.<room>` where a docstring names a module in short."""
NAMED = re.compile(rf"`(?:python -m )?((?:caduceus|tb|{'|'.join(ROOMS)})(?:\.\w+)+)")
"""A module, or what it holds, in a docstring or a comment."""


def test_the_register_page_is_what_the_table_says():
    assert (REPOSITORY / "docs" / "registers.md").read_text(
        encoding="utf-8"
    ) == register_manual.render(), "run python -m caduceus.export.register_manual docs/registers.md"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_something(page):
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith("http"):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file) if file else page
        assert target.exists(), f"{page.name}: {link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}: no such heading"


def test_every_target_that_the_readme_names_exists():
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.M))
    named = set(re.findall(r"`make ([a-z-]+)", (REPOSITORY / "README.md").read_text("utf-8")))
    assert named <= targets, f"no such target: {sorted(named - targets)}"
    assert {"sim", "test", "help"} <= named


@pytest.mark.xdist_group("sim")
def test_the_blocks_of_the_library_page_run_in_order(monkeypatch, tmp_path, capsys):
    page = REPOSITORY / "docs" / "python.md"
    text = page.read_text(encoding="utf-8")
    # What runs make goes to the repository's build folder, where other tests have built the chip.
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names: dict[str, object] = {}
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", text, flags=re.M | re.S))
    for block in blocks:
        # So that a traceback has the page's line numbers.
        before = text.count("\n", 0, block.start(1))
        exec(compile("\n" * before + block[1], str(page), "exec"), names)
    used = {name for name in caduceus.__all__ if any(f"caduceus.{name}" in b[1] for b in blocks)}
    assert used == set(caduceus.__all__), "every public name has an example"
    assert "0 mismatches" in capsys.readouterr().out


def named(folder: str) -> Iterator[tuple[str, str]]:
    """Dotted names in a folder's docstrings and comments, with where they stand."""
    for path in sorted((REPOSITORY / folder).rglob("*.py")):
        with io.StringIO(path.read_text(encoding="utf-8")) as text:
            for token in tokenize.generate_tokens(text.readline):
                if token.type in (tokenize.STRING, tokenize.COMMENT):
                    where = f"{path.relative_to(REPOSITORY)}:{token.start[0]}"
                    yield from ((name, where) for name in NAMED.findall(token.string))


def exists(name: str) -> bool:
    """Whether there is such a module, or such a name in a module or class."""
    name = f"caduceus.{name}" if name.split(".")[0] in ROOMS else name
    owner, _, last = name.rpartition(".")
    try:
        pkgutil.resolve_name(name)
    except (AttributeError, ImportError):
        # A field without a default is no attribute of its class.
        try:
            found = pkgutil.resolve_name(owner)
        except (AttributeError, ImportError):
            return False
        return dataclasses.is_dataclass(found) and last in found.__dataclass_fields__
    return True


@pytest.mark.parametrize("folder", ["caduceus", "hdl", "golden", "tb", "tests"])
def test_modules_that_docstrings_name_exist(folder):
    names = list(named(folder))
    assert names
    wrong = [f"{where}: {name}" for name, where in names if not exists(name)]
    assert not wrong, wrong


def test_a_module_that_is_not_there_is_found_out():
    assert exists("host.calibrate") and exists("caduceus.compile")
    assert exists("spec.program.Route.stream")
    for name in ("tb.tally", "caduceus.pcm.presets", "spec.program.Way", "golden.machine.Chip.no"):
        assert not exists(name)
