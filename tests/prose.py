"""What a Markdown page says, without its code: paragraphs, headings, table cells and links."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

MARKDOWN = MarkdownIt("commonmark").enable("table")
CODE = "code"
"""What stands for inline code in a passage: one word, whatever is in it."""
ENDS = re.compile(r"(?<=[.!?])\s+")
ABBREVIATIONS = re.compile(r"\b(e\.g|i\.e|et al|sec|vs|no|cf|[A-Z])\.(?= )")
KINDS = {"heading_open": "heading", "td_open": "cell", "th_open": "cell"}


@dataclass(frozen=True)
class Passage:
    """A paragraph, list item, heading or table cell.

    Attributes:
        kind: `paragraph` (list items, too), `heading` or `cell`.
        text: its words; each piece of inline code is `CODE`.
        code: its pieces of inline code.
        links: where its links and pictures lead.
        line: on which it begins.
    """

    kind: str
    text: str
    code: tuple[str, ...]
    links: tuple[str, ...]
    line: int


def passages(page: Path) -> Iterator[Passage]:
    """A page's passages in order; blocks of code are left out."""
    kind, line = "paragraph", 0
    for token in MARKDOWN.parse(page.read_text(encoding="utf-8")):
        if token.type.endswith("_open"):
            kind = KINDS.get(token.type, "paragraph")
            line = token.map[0] + 1 if token.map else line
        elif token.type == "inline":
            yield _passage(kind, token, line)


def _passage(kind: str, token: Token, line: int) -> Passage:
    words = {"code_inline": CODE, "softbreak": " ", "hardbreak": " "}
    children = token.children or ()
    links = (child.attrGet("href") or child.attrGet("src") for child in children)
    return Passage(
        kind,
        "".join(
            child.content if child.type == "text" else words.get(child.type, "")
            for child in children
        ),
        tuple(child.content for child in children if child.type == "code_inline"),
        tuple(str(link) for link in links if link),
        line,
    )


def anchors(page: Path) -> set[str]:
    """Names by which a link reaches the page's headings, as GitHub forms them."""
    tokens = MARKDOWN.parse(page.read_text(encoding="utf-8"))
    headings = [
        "".join(child.content for child in content.children or ())
        for opening, content in itertools.pairwise(tokens)
        if opening.type == "heading_open"
    ]
    plain = [re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings]
    return {
        f"{name}-{before}" if (before := plain[:place].count(name)) else name
        for place, name in enumerate(plain)
    }


def code_blocks(page: Path, language: str) -> list[str]:
    """Contents of the page's fenced blocks of code in a language."""
    tokens = MARKDOWN.parse(page.read_text(encoding="utf-8"))
    return [each.content for each in tokens if each.type == "fence" and each.info == language]


def sentences(text: str) -> list[str]:
    """A passage's sentences."""
    text = ABBREVIATIONS.sub(r"\1", text)
    return [each for each in ENDS.split(text.strip()) if words(each)]


def words(sentence: str) -> int:
    """Number of words in a sentence: tokens with a letter or a digit."""
    return sum(any(map(str.isalnum, word)) for word in sentence.split())
