"""Programs on real devices: what the host corrects, what runs in RTL, and what is refused."""

import dataclasses
import json
from dataclasses import replace

import numpy as np
import pytest
from command_line import caduceus, here

from caduceus.compiler.network import compile_network
from caduceus.data import inputs, sample
from caduceus.devices import make, settings
from caduceus.devices.settings import Devices
from caduceus.golden import machine
from caduceus.host.calibrate import INDEX
from caduceus.sim.deploy import deployed
from caduceus.sim.golden import Golden
from caduceus.spec import pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode
from caduceus.spec.graph import Graph, Input, Layer
from caduceus.spec.network import Network, Weights
from caduceus.spec.program import Program, TileProgram
from caduceus.spec.program_codes import computing, device_codes

pytestmark = pytest.mark.xdist_group("sim")
"""One worker for all of them: runs of `caduceus sim` wait for each other."""

TINY = Chip.find("tiny")
TDP, ODP = settings.find("hermes_tdp"), settings.find("hermes_odp")


def compiled(devices: settings.Settings, mode: ReadMode = ReadMode.FOUR_PHASE):
    found = Network.find("resnet_tiny")
    x = inputs(found, 2).x
    most = devices.largest_code
    return compile_network(found, TINY, mode, largest_code=most, sample=x), x


def _largest(program: Program) -> dict[str, int]:
    """Largest cell code of each layer's tiles."""
    found: dict[str, int] = {}
    for tile in computing(program):
        plus, minus = tile.codes[..., :2].astype(int), tile.codes[..., 2:].astype(int)
        code = int(np.abs(plus.sum(axis=-1) - minus.sum(axis=-1)).max())
        found[tile.block.layer] = max(code, found.get(tile.block.layer, 0))
    return found


def test_no_layer_asks_more_of_devices_than_they_can_be() -> None:
    found, hermes = Network.find("resnet9").per_core(), Chip.find("hermes")
    free, limited = (
        compile_network(found, hermes, ReadMode.ONE_PHASE, largest_code=devices.largest_code)
        for devices in (TDP, ODP)
    )
    largest = {node.name: node.gmax for node in found.graph.nodes}
    assert max(largest.values()) > 255 and (free.largest_code, limited.largest_code) == (510, 255)
    assert _largest(free) == largest
    assert _largest(limited) == {name: min(gmax, 255) for name, gmax in largest.items()}
    text = Network.find("lstm_ptb").per_core()
    limited = compile_network(text, hermes, ReadMode.ONE_PHASE, largest_code=ODP.largest_code)
    lstm, dense = text.graph.nodes
    assert lstm.input_gmax > 255 > max(lstm.hidden_gmax, dense.gmax)
    assert _largest(limited) == {"lstm": 255, "dense": dense.gmax}
    by_column = replace(text, graph=text.graph.model_copy(update={"scaling": "column"}))
    limited = compile_network(by_column, hermes, ReadMode.ONE_PHASE, largest_code=255)
    assert text.weights["dense"].gmax.max() > 255 and _largest(limited)["dense"] == 255
    program, _ = compiled(ODP)
    assert device_codes(program, TINY)[..., [1, 3]].max() == 0


def test_ideal_devices_are_what_the_program_asks_for() -> None:
    program, _ = compiled(settings.find("ideal"))
    on = deployed(program, TINY, Devices.ideal())
    wanted = pcm_state.ideal(TINY, device_codes(program, TINY))
    assert on.program is program and on.replaced is None
    for name in pcm_state.FIELDS:
        assert np.array_equal(getattr(on.state, name), getattr(wanted, name))


def test_ideal_devices_may_have_converters_that_are_not() -> None:
    odd = settings.find("ideal").model_copy(update={"adc_gain_spread": 0.07})
    program, _ = compiled(odd)
    on = deployed(program, TINY, Devices(odd, 3))
    assert on.state.gain_p.std() > 0 and not on.state.noise.any()
    assert np.array_equal(on.state.codes, device_codes(program, TINY))
    for tile, other in zip(on.program.tiles, program.tiles, strict=True):
        assert np.array_equal(tile.config.constants, other.config.constants)


def test_calibration_and_compensation_change_their_constants_and_no_others() -> None:
    program, _ = compiled(TDP)
    for key, changed in (("calibrate", {"gain_p", "gain_n", "offset"}), ("compensate", {"scale"})):
        only = TDP.model_copy(update={"calibrate": False, "compensate": False} | {key: True})
        corrected = deployed(program, TINY, Devices(only, 1, 3600.0)).program
        for tile, other in zip(corrected.tiles, program.tiles, strict=True):
            for name, index in INDEX.items():
                equal = np.array_equal(
                    tile.config.constants[:, index], other.config.constants[:, index]
                )
                assert equal == (name not in changed), (key, name)
    scales = [
        [tile.config.constants.view(np.float16)[:, INDEX["scale"]] for tile in each.tiles]
        for each in (corrected, program)
    ]
    grown = [now / before for now, before in zip(*scales, strict=True)]
    # An hour of drift takes some percent of all conductances.
    assert all(ratio.min() > 1.0 and ratio.max() < 1.5 for ratio in grown)


def _layers(weights: dict[str, np.ndarray], **gmax: int) -> Network:
    """Dense layers, one after another; `gmax` of each."""
    first = next(iter(weights.values()))
    nodes = tuple(
        Layer(
            name=name, op="dense", outputs=weight.shape[1], relu=False, gmax=gmax[name],
            output_scale=float(np.abs(weight).sum(axis=0).max() / 127) or 1.0,
        )
        for name, weight in weights.items()
    )  # fmt: skip
    graph = Graph(
        format=2, name="mine", dataset="random", input=Input(shape=(len(first),), scale=1 / 127),
        weights="none", nodes=nodes,
    )  # fmt: skip
    found = {
        name: Weights(weight.astype(np.float32), np.zeros(weight.shape[1], np.float32))
        for name, weight in weights.items()
    }
    return Network(graph, found)


QUIET = TDP.model_copy(
    update={"programming_noise": False, "read_noise": False, "calibrate": False,
            "adc_gain_spread": 0.0, "adc_offset": 0.0}
)  # fmt: skip


def test_a_weak_tile_does_not_get_a_meaningless_factor(tmp_path) -> None:
    """Its test vectors give a count or two, which once made a factor of 31 and outputs of 127."""
    program = compile_network(_layers({"d": np.full((16, 1), 0.5)}, d=9), TINY, ReadMode.FOUR_PHASE)
    x = np.full((4, 16), 127, np.int8)
    age = 86400.0
    found = Golden(program, Devices(QUIET, 3, age), TINY).run(x)
    plain = Golden(
        program, Devices(QUIET.model_copy(update={"compensate": False}), 3, age), TINY
    ).run(x)
    assert np.array_equal(found.outputs, plain.outputs)
    assert plain.figures.replaced_drift_factors is None
    (factor,) = found.figures.replaced_drift_factors
    assert (factor.layer, factor.tile, factor.used) == ("d", computing(program)[0].tile, 1.0)
    assert factor.measured > 10
    assert factor.reason == (
        "a typical result for the test vectors is 1.0 counts, expected 6 or more; no tile's factor "
        "is believed"
    )
    (line,) = (line for line in found.report().splitlines() if line.startswith("drift: "))
    assert line == (
        f"drift: layer d, tile {factor.tile}: factor {factor.measured:.3f} measured, 1.000 used: "
        f"{factor.reason}"
    )
    found.save(tmp_path / "result.json")
    written = json.loads((tmp_path / "result.json").read_text())
    assert written["replaced_drift_factors"] == [dataclasses.asdict(factor)]


@pytest.mark.parametrize("mode", list(ReadMode))
def test_silent_and_weak_tiles_of_a_chip(mode: ReadMode) -> None:
    """1 where nothing can be read, the median of the others where a tile is weak."""
    random = np.random.default_rng(5)
    weights = {name: random.uniform(-1, 1, (16, 16)) for name in ("strong", "weak", "last")}
    weights["silent"] = np.zeros((16, 16))
    network = _layers(weights, strong=400, weak=20, last=400, silent=400)
    # By column the scale of zeros is 0, and so is what it grows to.
    program = compile_network(network, TINY, mode, per_core=True)
    on = deployed(program, TINY, Devices(QUIET, 1, 86400.0))
    replaced = {each.layer: each for each in on.replaced}
    grown = {
        tile.block.layer: _scales(tile)[1] / _scales(other)[1]
        for tile, other in zip(computing(on.program), computing(program), strict=True)
    }
    assert set(replaced) == {"silent", "weak"}
    assert (replaced["silent"].measured, replaced["silent"].used) == (None, 1.0)
    assert grown["silent"] == 1 and replaced["silent"].reason.endswith("is 0")
    assert replaced["weak"].reason.endswith("; the chip's median")
    assert replaced["weak"].used == pytest.approx((grown["strong"] + grown["last"]) / 2, rel=2e-3)
    assert 1.2 < grown["strong"] < 1.5 and 1.2 < grown["last"] < 1.5


def test_devices_of_300_years_may_have_lost_more_than_those_of_one() -> None:
    """The bound grows with the age, so that a factor above 2.5 is believed."""
    random = np.random.default_rng(5)
    network = _layers({"d": random.uniform(-1, 1, (16, 16))}, d=120)
    program = compile_network(network, TINY, ReadMode.FOUR_PHASE)
    drifting = settings.find("generic").model_copy(
        update={"programming_noise": False, "read_noise": False, "calibrate": False,
                "adc_gain_spread": 0.0, "adc_offset": 0.0}
    )  # fmt: skip
    on = deployed(program, TINY, Devices(drifting, 1, 1e10))
    factor = _scales(computing(on.program)[0])[1] / _scales(computing(program)[0])[1]
    assert on.replaced == () and 2.5 < factor < 3.5


def _scales(tile: TileProgram) -> np.ndarray:
    return tile.config.constants.view(np.float16)[:, INDEX["scale"]].astype(float)


@pytest.mark.parametrize("stuck_set", [0.0, 1.0])
def test_broken_devices_are_no_reason_to_refuse_a_network(stuck_set: float) -> None:
    """All stuck: nothing can be read at RESET, and nothing drifts at SET."""
    program, _ = compiled(TDP)
    broken = TDP.model_copy(update={"device_yield": 0.0, "stuck_set_share": stuck_set})
    on = deployed(program, TINY, Devices(broken, 1, 86400.0))
    assert len(on.replaced) == len(computing(program))
    assert all(each.used == 1 for each in on.replaced)
    for tile in computing(on.program):
        assert np.isfinite(tile.config.constants.view(np.float16)).all()


def test_compensation_changes_no_device() -> None:
    """Programming noise, faults and read noise are the same with it and without."""
    program, _ = compiled(TDP)
    states = [
        deployed(
            program, TINY, Devices(TDP.model_copy(update={"compensate": each}), 1, 86400.0)
        ).state
        for each in (True, False)
    ]
    assert all(
        np.array_equal(getattr(states[0], name), getattr(states[1], name))
        for name in pcm_state.FIELDS
    )
    assert states[0].seed == states[1].seed


def test_what_is_corrected_comes_closer_to_ideal_results() -> None:
    """Every tile's results for the same images, against those of ideal devices."""
    errors = {}
    quiet = TDP.model_copy(update={"programming_noise": False, "read_noise": False})
    program, x = compiled(quiet)
    ideal_state = pcm_state.ideal(TINY, device_codes(program, TINY))
    traces = machine.run(program, TINY, ideal_state, x, capture=True).tiles
    first = next(tile for tile in computing(program) if tile.block.layer == "conv0")
    for corrected in (False, True):
        how = quiet.model_copy(update={"calibrate": corrected, "compensate": corrected})
        on = deployed(program, TINY, Devices(how, 2, 86400.0))
        found = machine.run(on.program, TINY, on.state, x, capture=True).tiles
        difference = found[first.tile].results.astype(int) - traces[first.tile].results
        errors[corrected] = float(np.sqrt((difference**2).mean()))
    assert errors[True] < 0.75 * errors[False], errors


def test_read_noise_goes_with_what_a_tiles_inputs_are() -> None:
    """Half the input has a quarter of the power."""
    program, x = compiled(TDP)
    states = [
        deployed(dataclasses.replace(program, sample=part), TINY, Devices(TDP, 1, 60.0)).state
        for part in (x, (x // 2).astype(np.int8))
    ]
    columns = computing(program)[0].config.columns
    loud, quiet = (state.noise[0, :columns].astype(float) for state in states)
    assert np.array_equal(states[0].codes, states[1].codes)
    assert np.allclose(quiet / loud, 0.5, atol=0.05)


def test_devices_that_are_programmed_anew_are_others() -> None:
    """The same converters, and other devices each time."""
    blank = np.zeros((1, TINY.array.rows, TINY.array.columns, 4), np.uint8)
    states = [
        make.state(TINY, blank, Devices(TDP, 5, 60.0), ReadMode.ONE_PHASE, programming=number)
        for number in range(4)
    ]
    assert len({state.codes.tobytes() for state in states}) == len(states)
    assert len({state.gain_p.tobytes() for state in states}) == 1  # the same converters
    assert len({state.seed for state in states}) == 1


def test_a_recurrent_network_is_corrected_too() -> None:
    found, most = Network.find("lstm_tiny"), ODP.largest_code
    program = compile_network(
        found, TINY, ReadMode.FOUR_PHASE, largest_code=most, sample=sample(found)
    )
    on = deployed(program, TINY, Devices(ODP, 1, 3600.0))
    power = on.state.noise[0].any()
    assert power and on.state.tiles == len(computing(program))
    assert any(
        not np.array_equal(tile.config.constants, other.config.constants)
        for tile, other in zip(computing(on.program), computing(program), strict=True)
    )
    again = deployed(program, TINY, Devices(ODP, 1, 3600.0)).state
    assert again.codes.tobytes() == on.state.codes.tobytes()


@pytest.mark.parametrize(
    ("net", "simulator", "pcm", "mode"),
    [
        (None, "verilator", "hermes_tdp", "4-phase"),
        pytest.param("resnet_tiny", "icarus", "hermes_odp", "1-phase", marks=pytest.mark.regress),
        ("fashion_tiny", "icarus", "hermes_odp", "1-phase"),
        pytest.param("fashion_tiny", "verilator", "generic", "4-phase", marks=pytest.mark.regress),
        pytest.param("conv_32x16", "verilator", "hermes_tdp", "1-phase", marks=pytest.mark.regress),
    ],
)
def test_rtl_equals_golden_on_real_devices(tmp_path, net, simulator, pcm, mode) -> None:
    output = tmp_path / "result.json"
    named = () if net is None else ("--net", net)
    run = caduceus(
        "sim", "--chip", "tiny", *named, "--sim", simulator, "--read-mode", mode, "--images", 2,
        "--pcm", pcm, "--seed", 7, "--age", 3600, "--output", output,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads(output.read_text())
    assert report["mismatches"] == 0 and report["values_compared"] > 0
    parts = report["networks"].values() if "networks" in report else [report]
    assert {part["devices"] for part in parts} == {f"{pcm} devices, seed 7, 1 h old"}
    assert f"{pcm} devices, seed 7, 1 h old" in run.stdout


def test_faulty_devices_and_converters_in_rtl(tmp_path) -> None:
    """From a settings file, without correction."""
    file, output = tmp_path / "worn.yaml", tmp_path / "result.json"
    file.write_text(
        "format: 1\nmodel: generic\ndevice_yield: 0.9\nstuck_set_share: 0.3\n"
        "adc_gain_spread: 0.07\nadc_offset: 3\n"
    )
    run = caduceus("sim", "--chip", "tiny", "--net", "resnet_tiny", "--images", 2, "--pcm", file,
                   "--seed", 2**64 - 1, "--output", output)  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert json.loads(output.read_text())["mismatches"] == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--pcm", "nope"),
         "unknown PCM model 'nope': expected one of generic, hermes_odp, hermes_tdp, ideal"),
        (("--pcm", "missing.yaml"), "missing.yaml: "),
        (("--age", "-1"), "--age: got -1, expected 0 to 1e+10 seconds, or an age as in"),
        (("--pcm", "hermes_odp", "--age", "nan"),
         "--age: got nan, expected 0 to 1e+10 seconds"),
        (("--age", "nan"), "--age: got nan, expected 0 to 1e+10 seconds"),
        (("--seed", "-1"), "--seed: got -1, expected a whole number, 0 to 18446744"),
    ],
)  # fmt: skip
def test_impossible_devices_are_refused(options, sentence) -> None:
    run = here("sim", "--chip", "tiny", "--net", "resnet_tiny", *options)
    assert run.returncode == 2 and run.stderr.count("\n") == 1
    assert run.stderr.startswith("caduceus: ") and sentence in run.stderr, run.stderr


def test_a_yield_above_one_is_refused(tmp_path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("format: 1\nmodel: hermes_tdp\ndevice_yield: 1.5\n")
    run = here("sim", "--chip", "tiny", "--net", "resnet_tiny", "--pcm", file)
    assert run.returncode == 2 and run.stderr.count("\n") == 1
    assert "device_yield" in run.stderr and "1.5" in run.stderr, run.stderr


def test_states_do_not_depend_on_other_tiles() -> None:
    program, _ = compiled(TDP)
    codes = device_codes(program, TINY)
    whole = make.state(TINY, codes, Devices(TDP, 4, 60.0), ReadMode.ONE_PHASE)
    part = make.state(TINY, codes[:1], Devices(TDP, 4, 60.0), ReadMode.ONE_PHASE)
    assert np.array_equal(whole.codes[:1], part.codes)
