"""Damaged and odd files: every loader gives a value or one sentence, in bounded time and memory."""

import hashlib
import io
import json
import os
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import damaged_files
import numpy as np
import pytest
import yaml
from command_line import caduceus, here
from damaged_files import FIXED, arrays, attempt_many, loaders, network_text, npz, sealed

from caduceus.devices import settings
from caduceus.spec import pcm_state, yaml_values
from caduceus.spec.chip import Chip
from caduceus.spec.errors import SENTENCE_MAX, VALUE_MAX, UserError, shown
from caduceus.spec.network import Network

YAML: dict[str, tuple[bytes, str]] = {
    "template": (b"name: {{ name }}\n", "line 1: key: got {'name': None}, expected text"),
    "list as a key": (b"? [1]\n: 2\n", "line 1: key: got [1], expected text"),
    "0b_": (b"format: 0b_\n", "line 1: got '0b_', expected an integer"),
    "timestamp tag": (
        b"format: !!timestamp x\n",
        "line 1: tag: got 'tag:yaml.org,2002:timestamp', expected none",
    ),
    "long integer": (
        b"format: " + b"9" * 5000,
        "line 1: got an integer of 5000 characters, expected at most 64",
    ),
    "alias bomb": (
        b"format: 1\na: &a [x,x,x,x,x,x,x,x,x]\n"
        + b"".join(b"%c: &%c [%s]\n" % (n, n, b",".join([b"*%c" % (n - 1)] * 9))
                   for n in b"bcdefghi"),
        "line 2: got '&a', expected no anchor (&) and no alias (*)",
    ),
    "20,000 lists": (b"[" * 20_000, "line 1: nested lists and mappings: expected at most 16 le"),
    "wide": (
        b"a: [" + b"1," * 100_000,
        "line 1: more values than a file may hold: expected at most 20000",
    ),
    "large": (b"#" * (1 << 20), ": got 1048576 bytes, expected at most 524288"),
    "two documents": (b"a: 1\n---\nb: 1\n", "line 2: got a second document, expected one"),
    "key twice": (b"a: 1\nb: 2\na: 3\n", "line 3: key 'a' occurs twice"),
    "directives": (
        b"".join(b"%%TAG !%d! x\n" % n for n in range(30_000)),
        "line 1: got a directive (%), expected none",
    ),
    "control character": (
        b"a: 1\nb: \x07\n", "line 2: got character U+0007, expected printable ones"
    ),
    "Latin-1": (b"a: 1\nb: \xe9\n", "line 2: cannot read the "),
    "surrogate": (b'a: "\\ud800"\n', "line 1: "),
    "empty": (b"", ": got nothing, expected a mapping of keys"),
    "bool tag": (b"a: !!bool x\n", "line 1: got 'x', expected true or false"),
}  # fmt: skip
"""Files of YAML, and a part of the sentence that each gives."""
READERS = {
    "chip": Chip.load,
    "network": Network.load,
    "settings": lambda path: settings.find(str(path)),
}


def _sentence(load: Callable[[Path], object], path: Path) -> str:
    """The one sentence that refuses the file at `path`, without the path."""
    with pytest.raises(UserError) as refusal:
        load(path)
    sentence = str(refusal.value)
    assert sentence.isprintable() and len(sentence) <= SENTENCE_MAX
    assert sentence.startswith(f"{path}: ")
    return sentence.removeprefix(f"{path}: ")


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("name", YAML)
def test_odd_yaml_is_one_sentence(tmp_path, kind, name):
    content, sentence = YAML[name]
    (tmp_path / "mine.yaml").write_bytes(content)
    assert sentence in _sentence(READERS[kind], tmp_path / "mine.yaml")


@pytest.mark.parametrize("name", [name for name in YAML if name not in ("20,000 lists", "wide")])
def test_pyyaml_without_its_c_library_refuses_the_same(tmp_path, monkeypatch, name):
    monkeypatch.setattr(yaml_values, "_LOADER", yaml.SafeLoader)
    content, sentence = YAML[name]
    (tmp_path / "mine.yaml").write_bytes(content)
    assert sentence in _sentence(Chip.load, tmp_path / "mine.yaml")
    assert Chip.find("tiny").name == "tiny"


MESSAGES = {
    "huge": {"name": "x" * 3000},
    "lines": {"name": "one\ntwo\r\nthree\u2028four"},
    "controls": {"name": "\x1b[31m\x07\0"},
    "huge section": {"input": "a" * 3000},
    "line's end": {"weights": "x\n"},
    "huge key": {"y" * 3000: 1},
    "key of lines": {"one\ntwo": 1},
    "many": {"weights": ["z" * 99] * 500},
    "number": {"format": 10**60},
    "weights": {"weights": "one\ntwo" + "w" * 4000},
    "null character": {"weights": "one\0two"},
}
"""What a network description says, in keys that are right or wrong."""


@pytest.mark.parametrize("name", MESSAGES)
def test_a_value_is_shown_in_one_short_line(tmp_path, name):
    document = yaml.safe_load(network_text()) | MESSAGES[name]
    path = tmp_path / "network.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(UserError) as refusal:
        Network.load(path)
    sentence = str(refusal.value)
    assert sentence.isprintable() and len(sentence) <= SENTENCE_MAX
    assert not any(letter * (VALUE_MAX + 1) in sentence for letter in "axyz")


def test_values_are_shown_printable_and_short():
    assert shown("a\nb") == "'a\\nb'" and shown((1, [2], None)) == "[1, [2], None]"
    assert shown("\ud800") == "'\\ud800'" and shown(None) == "nothing"
    for value in ("x" * 3000, list(range(99)), {"k" * 99: "v" * 99}, b"\xff" * 999, 10**5000,
                  [10**5000], np.zeros((99, 99))):  # fmt: skip
        assert len(shown(value)) <= VALUE_MAX and shown(value).isprintable()


def test_any_sentence_is_one_short_line():
    sentence = str(UserError("folder\nname/" + "a" * 999 + "\udcff\x1b: cannot: got 1, expected 2"))
    assert sentence.isprintable() and len(sentence) <= SENTENCE_MAX
    assert sentence.startswith("folder\\nname/") and sentence.endswith("cannot: got 1, expected 2")


# --- weights ----------------------------------------------------------------------------------


def _npz(content: bytes, method: int = zipfile.ZIP_STORED, name: str = "conv.weight.npy") -> bytes:
    """A zip with one member."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, content, method)
    return file.getvalue()


def _npy(head: str, numbers: bytes = b"", version: int = 1) -> bytes:
    """A `.npy` member with any header."""
    size = struct.pack("<H" if version == 1 else "<I", len(head))
    return b"\x93NUMPY" + bytes((version, 0)) + size + head.encode() + numbers


def _head(shape: object, kind: str = "<f4") -> str:
    return f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}}}\n"


def _changed(content: bytes, mark: bytes, offset: int, value: int, size: str = "<H") -> bytes:
    """A field of the zip's last record of a kind replaced."""
    changed = bytearray(content)
    struct.pack_into(size, changed, content.rindex(mark) + offset, value)
    return bytes(changed)


def _twice() -> bytes:
    """A zip with two members of one name."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("conv.weight.npy", SOUND)
        archive.writestr("conv.weighs.npy", SOUND)
    return file.getvalue().replace(b"conv.weighs", b"conv.weight")


SOUND = _npy(_head((4, 2)), bytes(32))
_LOCAL, _CENTRAL = b"PK\x03\x04", b"PK\x01\x02"
NPZ: dict[str, tuple[bytes, str]] = {
    "a .npy": (_npy(_head((3,), "<f8"), bytes(24)), "weights: got a single array (.npy), expected"),
    "more than memory": (_npz(_npy(_head((10**300,)))), "expected an integer of"),
    "no shape": (_npz(_npy(_head((-8,)), bytes(32))), "conv.weight: got"),
    "unbalanced": (_npz(_npy("(" * 60)), "conv.weight: not a weights file"),
    "deep": (_npz(_npy("-" * 9000 + "1")), "conv.weight: not a weights file"),
    "version 2, 4 GB": (_npz(_npy("", version=2)[:-4] + b"\xff" * 4), "conv.weight: not a weights"),
    "objects": (_npz(_npy(_head((8,), "|O"), b"cos")), "conv.weight: type: got 'object', expected"),
    "bzip2": (_npz(SOUND, zipfile.ZIP_BZIP2), "conv.weight: compression method: got 12, expected"),
    "LZMA": (_npz(SOUND, zipfile.ZIP_LZMA), "conv.weight: compression method: got 14, expected"),
    "method 97": (_changed(_npz(SOUND), _CENTRAL, 10, 97), "compression method: got 97"),
    "encrypted": (_changed(_npz(SOUND), _CENTRAL, 8, 1), "conv.weight: encrypted"),
    "checksum": (_npz(SOUND).replace(bytes(32), bytes(31) + b"\1"), "conv.weight: not a weights"),
    "declared larger": (
        _changed(_npz(SOUND), _CENTRAL, 24, 1 << 31, "<I"), "too few for the 2147483648 that"
    ),
    "wrong place": (_changed(_npz(SOUND), _CENTRAL, 42, 9999, "<I"), "not a weights file"),
    "bomb": (
        _npz(_npy(_head((1 << 22,))) + bytes(1 << 24), zipfile.ZIP_DEFLATED),
        "conv.weight: shape: got [4194304], expected [4, 2]",
    ),
    "bomb in another array": (
        _npz(bytes(1 << 24), zipfile.ZIP_DEFLATED, "other.npy"), "conv.weight is missing"
    ),
    "twice": (_twice(), "conv.weight: occurs twice"),
    "empty": (b"", "not a weights file"),
    "text": (b"hello", "not a weights file"),
    "empty zip": (b"PK\x05\x06" + bytes(18), "conv.weight is missing: expected shape [4, 2]"),
}  # fmt: skip
"""Files in the place of a network's weights, and a part of the sentence that each gives."""
ONE_LAYER = """format: 2
name: small
dataset: random
input: {shape: [4], scale: 0.01}
weights: weights.npz
nodes:
- {name: conv, op: dense, outputs: 2, relu: false, gmax: 30, output_scale: 0.6}
"""
DEFECTS = {
    "npz-deflate-damaged.npz": "conv.weight: not a weights file (.npz), or damaged",
    "npz-is-npy.npz": "weights: got a single array (.npy), expected named ones (.npz)",
    "npz-shape-1e12.npz": "conv.weight: got 78 bytes, expected 4000000000078 for an array",
}


def _weights_sentence(folder: Path, content: bytes, text: str = ONE_LAYER) -> str:
    """How `content` in the place of the weights is refused."""
    (folder / "network.yaml").write_text(text)
    (folder / "weights.npz").write_bytes(content)
    return _sentence(lambda path: Network.load(folder / "network.yaml"), folder / "weights.npz")


@pytest.mark.parametrize("name", NPZ)
def test_an_odd_archive_is_one_sentence(tmp_path, name):
    content, sentence = NPZ[name]
    assert sentence in _weights_sentence(tmp_path, content)


@pytest.mark.parametrize("name", DEFECTS)
def test_an_archive_that_broke_out_is_one_sentence(tmp_path, name):
    content = (Path(__file__).parent / "defects" / name).read_bytes()
    assert _weights_sentence(tmp_path, content).startswith(DEFECTS[name])


@pytest.mark.parametrize("compressed", [False, True])
def test_sound_archives_are_read(tmp_path, compressed):
    (tmp_path / "network.yaml").write_text(network_text())
    (tmp_path / "weights.npz").write_bytes(npz(compressed))
    found = Network.load(tmp_path / "network.yaml")
    np.testing.assert_array_equal(found.embedding, arrays()["embedding"])
    np.testing.assert_array_equal(found.weights["dense"].weight, arrays()["dense.weight"])


def test_more_weights_than_any_chip_holds_are_refused_unread(tmp_path):
    text = ONE_LAYER.replace("[4]", "[65536, 65536, 1]")
    (tmp_path / "network.yaml").write_text(text)
    sentence = _sentence(
        lambda path: Network.load(tmp_path / "network.yaml"), tmp_path / "weights.npz"
    )
    assert sentence == "the network's weights: got 8589934594 numbers, expected at most 268435456"


# --- states and programs ----------------------------------------------------------------------


def _without(content: bytes, key: str) -> bytes:
    """A sealed file without a key of its header, its checksum made anew."""
    length = struct.unpack("<I", content[12:16])[0]
    document = json.loads(content[FIXED : FIXED + length])
    del document[key]
    header, tail = json.dumps(document).encode(), content[FIXED + length :]
    start = content[:12] + struct.pack("<I", len(header))
    return start + hashlib.sha256(start + header + tail).digest() + header + tail


def test_a_state_without_a_chip_is_refused(tmp_path):
    path = tmp_path / "a.pcm"
    path.write_bytes(_without(sealed("state"), "chip"))
    assert _sentence(pcm_state.load, path) == "PCM state: chip is missing"
    path.write_bytes(npz())
    assert _sentence(pcm_state.load, path) == "not a PCM state, or damaged"


# --- files that are none ----------------------------------------------------------------------


@pytest.mark.parametrize("name", loaders())
def test_a_fifo_is_refused_without_waiting(tmp_path, name):
    loader = loaders()[name]
    for other, content in loader.others.items():
        (tmp_path / other).write_bytes(content)
    (tmp_path / loader.file).unlink(missing_ok=True)
    os.mkfifo(tmp_path / loader.file)
    sentence = _sentence(loader.load, tmp_path / loader.file)
    assert sentence.startswith("cannot read the ") and sentence.endswith(": not a regular file")


@pytest.mark.parametrize("name", loaders())
def test_a_huge_file_is_refused_unread(tmp_path, name):
    loader = loaders()[name]
    for other, content in loader.others.items():
        (tmp_path / other).write_bytes(content)
    with (tmp_path / loader.file).open("wb") as file:
        file.truncate(1 << 40)
    sentence = _sentence(loader.load, tmp_path / loader.file)
    assert "got 1099511627776 bytes, expected at most " in sentence


# --- the command line -------------------------------------------------------------------------


def _refused(run: subprocess.CompletedProcess, sentence: str) -> None:
    """The command ended with status 2 and one line."""
    assert run.returncode == 2, run.stdout + run.stderr
    assert sentence in run.stderr and run.stderr.count("\n") == 1
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("name", YAML)
def test_the_command_refuses_odd_yaml(tmp_path, name):
    path = tmp_path / "mine.yaml"
    path.write_bytes(YAML[name][0])
    for arguments in (
        ("compile", "--chip", path),
        ("compile", "--chip", "tiny", "--net", path),
        ("run", "--chip", "tiny", "--pcm", path),
    ):
        _refused(here(*arguments), YAML[name][1])


@pytest.mark.parametrize("name", DEFECTS)
def test_the_command_refuses_odd_weights(tmp_path, name):
    _weights_sentence(tmp_path, (Path(__file__).parent / "defects" / name).read_bytes())
    _refused(here("compile", "--chip", "tiny", "--net", tmp_path / "network.yaml"), DEFECTS[name])


@pytest.mark.parametrize("name", MESSAGES)
def test_the_command_prints_one_short_line(tmp_path, name):
    path = tmp_path / "network.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(network_text()) | MESSAGES[name]))
    run = here("compile", "--chip", "tiny", "--net", path)
    _refused(run, str(tmp_path))
    assert len(run.stderr) < SENTENCE_MAX + len("caduceus: \n") + 1


def test_an_empty_name_of_a_network_is_refused():
    _refused(here("compile", "--chip", "tiny", "--net", ""), "--net: got nothing, expected a name")
    with pytest.raises(UserError, match="unknown network ''"):
        Network.find("")


def test_a_name_close_to_one_there_is_gets_a_hint(tmp_path):
    _refused(here("run", "--net", "resnet_tinny"), "did you mean resnet_tiny?")
    _refused(here("run", "--net", tmp_path), "the name of a description file ends in .yaml")
    (tmp_path / "mine.yaml").write_text(network_text())
    _refused(here("run", "--net", tmp_path / "mine"), f"did you mean {tmp_path / 'mine'}.yaml?")


def test_the_command_as_a_process_ends_with_status_2(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(YAML["alias bomb"][0])
    _refused(caduceus("compile", "--chip", path), YAML["alias bomb"][1])


# --- any bytes --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", loaders())
def test_any_bytes_give_a_value_or_a_sentence(tmp_path, name):
    loader = loaders()[name]
    attempt_many(loader, 60, tmp_path)
    assert loader.refused > 20 and loader.tried >= 60


def _in_a_process(examples: int) -> None:
    """As `damaged_files.main`, where a loader gets 200 MB of memory and a second per file."""
    run = subprocess.run(
        [sys.executable, damaged_files.__file__, str(examples)],
        capture_output=True, text=True, check=False, timeout=1800,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count(" tried, ") == len(loaders())


def test_any_bytes_take_little_time_and_memory():
    _in_a_process(10)


@pytest.mark.regress
def test_many_bytes_take_little_time_and_memory():
    _in_a_process(3000)
