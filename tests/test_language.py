"""The house's language, as far as a machine can see it (CONTRIBUTING.md, "Language")."""

import re
from pathlib import Path

import prose
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
README = REPOSITORY / "README.md"
GENERATED = REPOSITORY / "docs" / "registers.md"
PAGES = [
    README,
    REPOSITORY / "CONTRIBUTING.md",
    REPOSITORY / "CHANGELOG.md",
    *sorted(set((REPOSITORY / "docs").glob("*.md")) - {GENERATED}),
]
SOURCE_ROOTS = (
    *(".github", "Makefile", "benchmarks", "caduceus", "chips", "formal", "golden", "hdl"),
    *("networks", "tb", "tests", "tools", "train"),
)
"""Files and folders whose sources are held to `PHRASES`: all of their text, names included."""
LISTS = {"test_language.py", "test_help.py"}
"""Tests that list the phrases themselves, and so are left out."""
SOURCES = {".cfg", ".py", ".pyi", ".sh", ".sv", ".toml", ".v", ".vlt", ".yaml", ".yml", ".md", ""}
AVERAGE, LONGEST = 20, 45
"""Words of a sentence: mean over a page, and at most."""
README_LINES = 150

# The nouns that are never verbs before "a" or "an".
COUNTED = "cycles|clocks|bits|bytes|images|values|columns|pixels|characters|words|vectors|MVMs"
PHRASES = {
    r"\w*told\w*": "reports, sets, names",
    r"allowed (?:is|are)": "expected, must be",
    r"(?:is|are|was|were) asked|asked for|what is not|what comes": "the noun itself",
    r"from where to where": "the interval",
    r"but for": "except",
    r"with which": "a new sentence",
    r"thereof": "two sentences, or a table",
    rf"(?:{COUNTED}) an? \w+": "per",
    r"program image|state image": "program file, PCM state words",
    r"farms?": "workers",
}
"""What is not written, as a pattern, and what is written in its place."""
IN_PAGES = PHRASES | {"of which": "a new sentence", "likewise": "two sentences, or a table"}
"""The same for pages."""
SPELLING = (
    "artefact|behaviour|cancell(?:ed|ing)|centre|colour|favour|grey|labell(?:ed|ing)|licence|"
    "modell(?:ed|ing)|neighbour|programme\\b|"
    "(?:analy|characteri|crystalli|initiali|maximi|minimi|normali|optimi|organi|quanti|reali|"
    "recogni|seriali|summari|synchroni)s(?:e|ed|es|er|ers|ing|ation|ations)\\b"
)
"""British spellings; ours is American."""
GAP = r"""(?:[\s"'#/]|\bf(?=["']))+"""
"""Between two words of a phrase: it may go on in the next line of a comment or string."""
GLOSSARY = {
    *("ADC", "AIMC", "FMA", "GDPU", "LDPU", "LSTM", "MVM", "ODP", "PCM", "PWM", "RESET", "RTL"),
    *("RX", "SET", "TDP", "TX", "1-phase", "4-phase", "gmax", "golden", "part", "program"),
    *("replica", "state", "stream", "tile"),
}
"""What the README explains."""
COMMON = {
    *("CIFAR", "CHANGELOG", "CITATION", "CONTRIBUTING", "ECP", "FPGA", "HERMES", "IBM", "IEEE"),
    *("INT", "MNIST", "ONNX", "SMT"),
}
"""Capitals in the README that need no entry: names, and abbreviations of general use."""


def phrases(text: str, patterns: dict[str, str] = PHRASES) -> list[str]:
    """Lines and phrases of a text that match one of the patterns, each with what to write."""
    return [
        f"{text.count(chr(10), 0, found.start()) + 1}: '{found[0]}': write {instead}"
        for pattern, instead in patterns.items()
        for found in re.finditer(rf"\b(?:{pattern.replace(' ', GAP)})\b", text, re.IGNORECASE)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_has_none_of_the_words(page):
    found = [
        f"{page.name}:{passage.line}: {problem.partition(' ')[2]}"
        for passage in prose.passages(page)
        for problem in phrases(passage.text, IN_PAGES)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_is_spelled_the_american_way(page):
    found = [
        f"{page.name}:{passage.line}: {word[0]}"
        for passage in prose.passages(page)
        for word in re.finditer(rf"\b(?:{SPELLING})", passage.text, re.IGNORECASE)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_sentences_are_short(page):
    texts = [passage for passage in prose.passages(page) if passage.kind != "heading"]
    found = [
        (prose.words(sentence), passage.kind, f"{page.name}:{passage.line}: {sentence}")
        for passage in texts
        for sentence in prose.sentences(passage.text)
    ]
    long = [sentence for count, _, sentence in found if count > LONGEST]
    assert not long, "\n".join(long)
    counts = [count for count, kind, _ in found if kind == "paragraph"]
    assert sum(counts) / len(counts) < AVERAGE


def sources() -> list[Path]:
    """Text files of `SOURCE_ROOTS`, except `LISTS` and what Python leaves beside modules."""
    roots = [REPOSITORY / root for root in SOURCE_ROOTS]
    files = [each for root in roots for each in ([root] if root.is_file() else root.rglob("*"))]
    lists = {REPOSITORY / "tests" / name for name in LISTS}
    return sorted(
        each
        for each in {*files} - lists
        if each.is_file() and each.suffix in SOURCES and "__pycache__" not in each.parts
    )


def test_sources_have_none_of_the_words():
    files = sources()
    assert files
    found = [
        f"{file.relative_to(REPOSITORY)}:{problem}"
        for file in files
        for problem in phrases(file.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "A mismatch is told as layer and tile.",
        "kernel = 0: allowed are 1 to 255",
        'f"kernel = {k}: allowed "\n    f"are 1 to 255"',
        "# takes 33 clocks a\n# vector, but\n# for the last",
        "more than is asked for",
        "_told = namedtuple('_told', 'x')",
        "the rate with which it comes",
    ],
)
def test_a_phrase_is_found_out(text):
    assert phrases(text)


def test_a_plain_sentence_has_none_of_the_phrases():
    assert not phrases("expected 1 to 255; the host reads a tile, 33 cycles per vector")


def glossary() -> list[str]:
    """The README's words that are explained."""
    rows = README.read_text(encoding="utf-8").partition("## Glossary")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| ([^|]+) \|", rows, re.M)
    return [word for cell in cells for word in cell.split(", ")]


def test_the_readme_is_a_door():
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= README_LINES
    first = "\n".join(lines[:25])
    assert "docs/figures/chip.svg" in first and "| status |" in first


def test_every_abbreviation_is_in_the_glossary():
    words = glossary()
    assert not GLOSSARY - set(words)
    used = {
        word
        for passage in prose.passages(README)
        for word in re.findall(r"\b[A-Z]{2,}(?=\b|\d)", passage.text)
    }
    assert not used - set(words) - COMMON


def test_there_is_one_glossary():
    others = [page.name for page in PAGES[1:] if "glossary" in prose.anchors(page)]
    assert not others
