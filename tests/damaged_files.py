"""Damaged and odd files for every loader: each gives a value, or one `UserError` in one line.

As a script, in a process of its own whose memory is limited:
`python tests/damaged_files.py EXAMPLES [LOADER ...]` prints how many files of each kind were tried.
"""

import gzip
import hashlib
import io
import json
import resource
import struct
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import yaml
from chip_programs import partial_sums
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caduceus.data import cifar10, fashion_mnist
from caduceus.devices import settings as devices
from caduceus.spec import pcm_state, program_file
from caduceus.spec.chip import CHIPS, Chip
from caduceus.spec.errors import SENTENCE_MAX, UserError
from caduceus.spec.network import NETWORKS, TEXT, Network
from caduceus.spec.network_file import DATA
from caduceus.spec.own_data import OwnData
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.shipped import shipped_folder

SECONDS = 1.0
"""Processor time of the slowest file."""
MEMORY = 200 << 20
"""Bytes that a loader may take."""
FIXED = 48
"""Bytes of a sealed file before its header."""


# --- sound files ------------------------------------------------------------------------------


def network_text(dataset: str = "text") -> str:
    """A small network with an LSTM, a dense layer and, with a text, symbols."""
    symbols = ', symbols: "ab"' if dataset == "text" else ""
    return f"""format: 2
name: small
dataset: {dataset}
input: {{shape: [3], scale: 0.01{symbols}}}
weights: weights.npz
nodes:
- {{name: lstm, op: lstm, hidden: 2, input_gmax: 10, hidden_gmax: 20,
   gate_scales: [0.1, 0.2, 0.3, 0.4], output_scale: 0.5}}
- {{name: dense, op: dense, outputs: 2, relu: false, gmax: 30, output_scale: 0.6}}
"""


def arrays() -> dict[str, np.ndarray]:
    """The weights of `network_text`."""
    return {
        "embedding": np.arange(6, dtype=np.int8).reshape(2, 3),
        "lstm.input": np.ones((3, 8), np.float16),
        "lstm.hidden": np.ones((2, 8), np.float16),
        "lstm.bias": np.zeros(8, np.float32),
        "dense.weight": np.asfortranarray(np.ones((2, 2))),
        "dense.bias": np.zeros(2, np.int32),
    }


def npz(compressed: bool = False, content: Mapping[str, np.ndarray] | None = None) -> bytes:
    """The bytes of `arrays`, or of another content, as NumPy writes them."""
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **(content or arrays()))
    return file.getvalue()


def own_data() -> dict[str, np.ndarray]:
    """Small data of a user's own."""
    return {"inputs": np.ones((3, 4), np.float32), "labels": np.arange(3)}


def npy() -> bytes:
    """The bytes of inputs alone."""
    file = io.BytesIO()
    np.save(file, own_data()["inputs"])
    return file.getvalue()


def small_state() -> PcmState:
    """A state of one tile with one device cell."""
    one = np.zeros((1, 1), np.uint32)
    return PcmState("tiny", 1, np.zeros((1, 1, 1, 4), np.uint8), one, one,
                    one.astype(np.int16), one.astype(np.int16), one.astype(np.uint16))  # fmt: skip


@cache
def sealed(kind: str) -> bytes:
    """The bytes of a small sealed file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        if kind == "state":
            pcm_state.save(small_state(), path)
        else:
            program_file.save(partial_sums(), path)
        return path.read_bytes()


def idx(values: np.ndarray) -> bytes:
    """An IDX file of unsigned bytes, unpacked."""
    shape = struct.pack(f">{values.ndim}I", *values.shape)
    return bytes((0, 0, 8, values.ndim)) + shape + values.tobytes()


# --- strategies -------------------------------------------------------------------------------

ODD = (
    "", "~", "null", "true", "0b_", "0x", "1_0", "-.inf", ".nan", "1e999", "9" * 60, "9" * 5000,
    "190:20:30", "2001-02-30", "<<", "=", "*a", "&a x", "&a [*a]", "!!timestamp x", "!!bool x",
    "!!int ''", "!!python/object:os.system x", "!x y", "{{ name }}", "? [1]", "[[[[[", "]", "{",
    "}", "-", "- - -", "|", "|\n  x\n", ">+\n\n", '"\\ud800"', '"\\UFFFFFFFF"', '"\\0"', "'", '"',
    "\t", "---", "...", "%YAML 1.1", "%TAG ! x", "# x", "x" * 3000, "a\x85b", "\u2028", "\ufeff",
    "\x07",
)  # fmt: skip
"""Pieces of YAML that loaders have stumbled over."""
NUMBERS = st.sampled_from([0, 1, 2, 8, 12, 255, 256, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF])


@st.composite
def damaged(draw: st.DrawFn, sound: bytes) -> bytes:
    """`sound` with a few of: bits flipped, parts cut, doubled, moved, replaced, numbers changed."""
    content = bytearray(sound)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        size = draw(st.integers(0, 64))
        match draw(st.integers(0, 6)):
            case 0 if at < len(content):
                content[at] ^= 1 << draw(st.integers(0, 7))
            case 1:
                del content[at:]
            case 2:
                del content[at : at + size]
            case 3:
                content[at:at] = content[at : at + size]
            case 4:
                content[at : at + size] = draw(st.binary(max_size=64))
            case 5:
                content[at : at + 4] = struct.pack("<I", draw(NUMBERS))
            case _:
                content[at : at + 2] = struct.pack("<H", draw(NUMBERS) & 0xFFFF)
    return bytes(content)


def yaml_text(sound: str) -> st.SearchStrategy[bytes]:
    """YAML that is damaged, nonsense, or sound except for a few values."""
    odd = st.sampled_from(ODD)
    lines = sound.splitlines(keepends=True)
    words = st.one_of(
        odd, st.sampled_from(lines), st.text(max_size=20), st.sampled_from("-:?,[]{} \n")
    )
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | odd
    values = st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8), inner, max_size=4), max_leaves=8,
    )  # fmt: skip

    @st.composite
    def changed(draw: st.DrawFn) -> bytes:
        document = yaml.safe_load(sound)
        for _ in range(draw(st.integers(1, 3))):
            node = document
            while True:
                keys = list(node) if isinstance(node, dict) else list(range(len(node)))
                key = draw(st.sampled_from(keys)) if keys else None
                inside = node[key] if keys else None
                if not (isinstance(inside, dict | list) and inside and draw(st.booleans())):
                    break
                node = inside
            match draw(st.integers(0, 3)):
                case 0 if keys:
                    del node[key]
                case 1 if isinstance(node, dict):
                    node[draw(st.text(max_size=8) | odd)] = draw(values)
                case 2 if keys:
                    node[key] = draw(st.integers(-2, 1 << 70) | st.floats())
                case _ if keys:
                    node[key] = draw(values)
        text = yaml.safe_dump(document, allow_unicode=draw(st.booleans()))
        return text.encode("utf-8", "surrogatepass")

    @st.composite
    def replaced(draw: st.DrawFn) -> bytes:
        """A word of the text replaced by an odd one."""
        parts = sound.split(" ")
        for _ in range(draw(st.integers(1, 3))):
            parts[draw(st.integers(0, len(parts) - 1))] = draw(odd)
        return " ".join(parts).encode("utf-8", "surrogatepass")

    return st.one_of(
        st.binary(max_size=200), damaged(sound.encode()), changed(), replaced(),
        st.lists(words, max_size=30).map(lambda found: "".join(found).encode("utf-8", "replace")),
    )  # fmt: skip


@st.composite
def resealed(draw: st.DrawFn, sound: bytes) -> bytes:
    """A sealed file whose header or arrays are wrong, and whose checksum is right."""
    length = struct.unpack("<I", sound[12:16])[0]
    header, tail = sound[FIXED : FIXED + length], sound[FIXED + length :]
    if draw(st.booleans()):
        document = json.loads(header)
        key = draw(st.sampled_from(list(document)) | st.text(max_size=8))
        document[key] = draw(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=99)
            | st.lists(st.integers(-1, 1 << 64), max_size=5) | st.just({}) | st.just(10**4000)
        )  # fmt: skip
        header = json.dumps(document).encode()
    else:
        header = draw(damaged(header))
    if draw(st.booleans()):
        tail = draw(damaged(tail))
    size = len(header) if draw(st.booleans()) else draw(NUMBERS)
    start = sound[:12] + struct.pack("<I", size)
    return start + hashlib.sha256(start + header + tail).digest() + header + tail


@st.composite
def odd_npz(draw: st.DrawFn, kept: Mapping[str, np.ndarray] | None = None) -> bytes:
    """A zip of sound and odd members, by any method, with sound or damaged records."""
    file = io.BytesIO()
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in (kept or arrays()).items():
            member = io.BytesIO()
            np.save(member, array)
            content = member.getvalue()
            match draw(st.integers(0, 5)):
                case 0:
                    content = draw(damaged(content))
                case 1:
                    shape = draw(st.lists(st.integers(-1, 1 << 70), max_size=4).map(tuple))
                    kind = draw(st.sampled_from(("<f4", "<f8", "|O", "<U9", "|V99", "<c8", "?")))
                    text = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, }}\n"
                    if draw(st.booleans()):
                        text = draw(st.text(max_size=99) | st.sampled_from(["(" * 400, "-" * 9000]))
                    head = text.encode("utf-8", "replace")
                    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head
                case _:
                    pass
            archive.writestr(f"{name}.npy", content, draw(st.sampled_from(methods)))
    content = bytearray(file.getvalue())
    for mark, offsets in ((b"PK\x03\x04", (6, 8, 14, 18, 22, 26, 28)),
                          (b"PK\x01\x02", (8, 10, 16, 20, 24, 28, 30, 32, 42))):  # fmt: skip
        if draw(st.booleans()):
            continue
        place = content.find(mark) + draw(st.sampled_from(offsets))
        content[place : place + 2] = struct.pack("<H", draw(NUMBERS) & 0xFFFF)
    return bytes(content)


# --- loaders ----------------------------------------------------------------------------------


@dataclass
class Loader:
    """A loader, files for it, and what became of them.

    Attributes:
        file: name of the file that is damaged.
        content: strategy of its bytes.
        load: reads it, given its path.
        others: files beside it.
        tried, refused, slowest: files tried, refused, and the longest processor time of one.
    """

    file: str
    content: st.SearchStrategy[bytes]
    load: Callable[[Path], object]
    others: dict[str, bytes] = field(default_factory=dict)
    tried: int = 0
    refused: int = 0
    slowest: float = 0.0

    def attempt(self, folder: Path, content: bytes) -> None:
        """Load `content` once: anything but a value or one sound sentence is an error."""
        path = folder / self.file
        path.write_bytes(content)
        start = time.process_time()
        try:
            self.load(path)
        except UserError as error:
            sentence = str(error)
            assert sentence.isprintable() and 0 < len(sentence) <= SENTENCE_MAX, sentence
            self.refused += 1
        took = time.process_time() - start
        self.tried += 1
        self.slowest = max(self.slowest, took)
        assert took < SECONDS, f"{took:.2f} s"


def loaders() -> dict[str, Loader]:
    """Every loader of a user's files."""
    chip = (shipped_folder(CHIPS) / "tiny.yaml").read_text("utf-8")
    preset = (shipped_folder("caduceus.devices") / "presets" / "generic.yaml").read_text("utf-8")
    image = (shipped_folder(NETWORKS) / "resnet_tiny" / "network.yaml").read_text("utf-8")
    network = {"network.yaml": network_text().encode(), "weights.npz": npz(), TEXT: b"abba"}

    def beside(path: Path) -> object:
        return Network.load(path.parent / "network.yaml")

    def packed(strategy: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
        whole = gzip.compress(idx(np.zeros((3, 28, 28), np.uint8)))
        return st.one_of(strategy.map(gzip.compress), damaged(whole), st.binary(max_size=99))

    labels = gzip.compress(idx(np.zeros(3, np.uint8)))
    return {
        "chip": Loader("chip.yaml", yaml_text(chip), Chip.load),
        "network": Loader(
            "network.yaml", st.one_of(yaml_text(network_text()), yaml_text(image)), Network.load,
            network,
        ),
        "settings": Loader("mine.yaml", yaml_text(preset), lambda path: devices.find(str(path))),
        "weights": Loader(
            "weights.npz",
            st.one_of(st.binary(max_size=200), damaged(npz()), damaged(npz(True)), odd_npz()),
            beside, network,
        ),
        "text": Loader(
            TEXT, st.one_of(st.binary(max_size=99), damaged(b"abba" * 9)), beside, network
        ),
        "data": Loader(
            DATA,
            st.one_of(
                st.binary(max_size=200), damaged(npz(content=own_data())), odd_npz(own_data())
            ),
            beside, network,
        ),
        "inputs": Loader(
            "mine.npy", st.one_of(st.binary(max_size=200), damaged(npy())), OwnData.load
        ),
        "state": Loader(
            "a.pcm",
            st.one_of(st.binary(max_size=200), damaged(sealed("state")), resealed(sealed("state"))),
            pcm_state.load,
        ),
        "program": Loader(
            "a.bin",
            st.one_of(
                st.binary(max_size=200), damaged(sealed("program")), resealed(sealed("program"))
            ),
            program_file.load,
        ),
        "fashion": Loader(
            "t10k-images-idx3-ubyte.gz", packed(damaged(idx(np.zeros((3, 28, 28), np.uint8)))),
            lambda path: fashion_mnist.load("test", path.parent),
            {"t10k-labels-idx1-ubyte.gz": labels},
        ),
        "cifar10": Loader(
            "test_batch.bin", st.one_of(st.binary(max_size=99), damaged(bytes(3073 * 2))),
            lambda path: cifar10.load("test", path.parent),
        ),
    }  # fmt: skip


def attempt_many(loader: Loader, examples: int, folder: Path, *, repeat: bool = True) -> None:
    """Load `examples` damaged files in `folder`; the same ones each time with `repeat`."""
    for name, content in loader.others.items():
        (folder / name).write_bytes(content)

    @settings(
        deadline=None, max_examples=examples, database=None, derandomize=repeat,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(loader.content)
    def attempt(content: bytes) -> None:
        loader.attempt(folder, content)

    attempt()


def limit_memory() -> None:
    """From here on, the process may take `MEMORY` bytes more."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))


def main() -> None:
    """Try `EXAMPLES` files per loader, under the limit."""
    examples, names = int(sys.argv[1]), sys.argv[2:]
    with tempfile.TemporaryDirectory() as place:
        for name, loader in loaders().items():
            if names and name not in names:
                continue
            folder = Path(place) / name
            folder.mkdir()
            attempt_many(loader, 5, folder)
            limit_memory()
            attempt_many(loader, examples, folder, repeat=False)
            print(
                f"{name}: {loader.tried} tried, {loader.refused} refused, "
                f"slowest {loader.slowest:.2f} s", flush=True,
            )  # fmt: skip


if __name__ == "__main__":
    main()
