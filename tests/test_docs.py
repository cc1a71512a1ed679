"""The manual agrees with the code, and its links lead somewhere."""

import dataclasses
import io
import pkgutil
import re
import shutil
import tempfile
import tokenize
from collections.abc import Iterator
from pathlib import Path

import prose
import pytest
import yaml

import caduceus
from caduceus.devices.settings import Settings
from caduceus.export import register_manual
from caduceus.sim.result import Figures, Metric
from caduceus.spec.chip import Chip

REPOSITORY = Path(__file__).resolve().parent.parent
DOCS = REPOSITORY / "docs"
README, FILES, DEVICES = REPOSITORY / "README.md", DOCS / "files.md", DOCS / "devices.md"
PAGES = [
    README,
    REPOSITORY / "CONTRIBUTING.md",
    REPOSITORY / "CHANGELOG.md",
    *sorted(DOCS.glob("*.md")),
    REPOSITORY / "train" / "README.md",
]
ROOMS = ("hdl", "golden", *(each.name for each in pkgutil.iter_modules(caduceus.__path__)))
"""What stands for `caduceus.<room>` where a docstring names a module in short."""
NAMED = re.compile(rf"`(?:python -m )?((?:caduceus|tb|{'|'.join(ROOMS)})(?:\.\w+)+)")
"""A module, or what it holds, in a docstring or a comment."""


def test_the_register_page_is_what_the_table_says():
    assert (REPOSITORY / "docs" / "registers.md").read_text(
        encoding="utf-8"
    ) == register_manual.render(), "run python -m caduceus.export.register_manual docs/registers.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_to_something(page):
    for passage in prose.passages(page):
        for link in passage.links:
            if link.startswith("http"):
                continue
            file, _, anchor = link.partition("#")
            target = (page.parent / file) if file else page
            where = f"{page.name}:{passage.line}: {link}"
            assert target.exists(), f"{where} leads nowhere"
            assert not anchor or anchor in prose.anchors(target), f"{where}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_files_that_a_page_names_exist(page):
    folders = [each.name for each in REPOSITORY.iterdir() if each.is_dir()]
    path = re.compile(rf"(?:{'|'.join(map(re.escape, folders))})/[\w./-]+\.\w+")
    named = [
        (passage.line, piece)
        for passage in prose.passages(page)
        for piece in passage.code
        if path.fullmatch(piece) and not piece.startswith("build/")
    ]
    wrong = [
        f"{page.name}:{line}: {file}" for line, file in named if not (REPOSITORY / file).exists()
    ]
    assert not wrong, wrong


def test_pages_that_sources_name_exist():
    folders = ("benchmarks", "caduceus", "formal", "golden", "hdl", "tb", "tests", "tools", "train")
    files = [each for name in folders for each in (REPOSITORY / name).rglob("*.*")]
    wrong = [
        f"{file.relative_to(REPOSITORY)}: {page}{anchor}"
        for file in files
        if file.suffix in {".py", ".sv", ".v", ".yaml"}
        for page, anchor in re.findall(
            r"\b(docs/[\w-]+\.md)((?:#[\w-]+)?)", file.read_text(encoding="utf-8")
        )
        if not (REPOSITORY / page).exists()
        or (anchor and anchor[1:] not in prose.anchors(REPOSITORY / page))
    ]
    assert files and not wrong, wrong


def pieces(page: Path) -> set[str]:
    """All inline code of a page."""
    return {piece for passage in prose.passages(page) for piece in passage.code}


def test_every_key_of_a_file_is_explained():
    chip = {
        f"{name}.{key}" if key else name
        for name, field in Chip.model_fields.items()
        for key in getattr(field.annotation, "model_fields", {"": None})
    }
    figures = {
        f"{name}.{key}" if key else name
        for name in (field.name for field in dataclasses.fields(Figures))
        for key in {"metric": [each.name for each in dataclasses.fields(Metric)],
                    "cycles": ["sync", "mvm"]}.get(name, [""])
    }  # fmt: skip
    assert not (chip | figures) - pieces(FILES)
    assert not set(Settings.model_fields) - pieces(DEVICES)


def test_targets_that_the_manual_names_exist_and_all_are_described():
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.M))
    named = {
        target
        for page in PAGES
        for target in re.findall(r"(?:`| {4})make ([a-z-]+)", page.read_text(encoding="utf-8"))
    }
    assert named <= targets, f"no such target: {sorted(named - targets)}"
    described = set(
        re.findall(r"`make ([a-z-]+)", (REPOSITORY / "docs/running.md").read_text("utf-8"))
    )
    assert targets - {"setup", "peers", "clean", "distclean"} <= described


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


@pytest.mark.xdist_group("sim")
def test_the_readmes_own_network_and_ten_lines_run(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("CADUCEUS_BUILD", str(REPOSITORY / "build"))
    monkeypatch.chdir(tmp_path)
    _, ten_lines = prose.code_blocks(README, "python")
    for name in ("tiny_conv.onnx", "tiny_conv.npz"):
        (tmp_path / "examples").mkdir(exist_ok=True)
        shutil.copy(REPOSITORY / "examples" / name, tmp_path / "examples")
    exec(compile(ten_lines, str(README), "exec"), {})
    assert len([line for line in ten_lines.splitlines() if line]) <= 10
    sentence = "42 MVMs, 380 values compared with the golden model, 0 mismatches"
    assert f"2 images, {sentence}" in README.read_text(encoding="utf-8")
    assert sentence in capsys.readouterr().out


@pytest.mark.xdist_group("sim")
def test_the_network_by_hand_runs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (description,) = (each for each in prose.code_blocks(FILES, "yaml") if "name: mine" in each)
    (weights,) = (each for each in prose.code_blocks(FILES, "python") if "weights.npz" in each)
    (tmp_path / "mine.yaml").write_text(description)
    exec(compile(weights, str(FILES), "exec"), {})
    program = caduceus.compile(caduceus.Network.load("mine.yaml"), caduceus.Chip.find("tiny"))
    result = caduceus.Simulation(program, simulator="icarus").run(program.sample[:2])
    figures = result.figures
    assert (figures.mvms, figures.values_compared, figures.mismatches) == (78, 430, 0)
    assert "2 images, 78 MVMs, 430 values compared with the golden model, 0 mismatches" in (
        FILES.read_text(encoding="utf-8")
    )


@pytest.mark.regress
def test_the_readmes_own_model_runs(monkeypatch, tmp_path):
    """With PyTorch, which regression installs."""
    monkeypatch.chdir(tmp_path)
    export, _ = prose.code_blocks(README, "python")
    exec(compile(export, str(README), "exec"), {})
    chip = caduceus.Chip.find("tiny")
    network = caduceus.Network.from_onnx("mine.onnx", chip=chip)
    assert network.graph.metric.float == 1
    program = caduceus.compile(network, chip)
    assert caduceus.Golden(program).run(network.data.inputs).real.shape == (32, 3)


def test_the_readme_prints_what_was_measured():
    shown = [line for line in README.read_text("utf-8").splitlines() if line.startswith("    ")]
    measured = (DOCS / "measurements.md").read_text(encoding="utf-8").splitlines()
    printed = [line for line in shown if re.match(r"    (resnet9|\d+ |latency|back to back)", line)]
    (own,) = set(printed) - set(measured)
    assert len(printed) == 6 and "380 values" in own


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["cff-version"], citation["version"]) == ("1.2.0", caduceus.__version__)
    assert {"message", "title", "authors"} <= citation.keys()
    for paper in citation["references"]:
        assert {"type", "title", "authors", "journal", "year"} <= paper.keys()


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
