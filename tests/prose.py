"""What a page says, without its code: paragraphs, sentences, headings, links and tables.

The language tests and the link tests read Markdown through this module alone.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")
CODE = "X"
"""Inline code counts as one word, whatever is in it."""
ENDS = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'(\[`0-9])")
ABBREVIATIONS = re.compile(r"\b(e\.g|i\.e|et al|sec|vs|no|cf|Fig|Nat)\. ")


@dataclass(frozen=True)
class Passage:
    """One paragraph, list item, heading or table cell, with the line on which it begins."""

    kind: str
    """`paragraph`, `heading` or `cell`."""
    text: str
    links: tuple[str, ...]
    line: int


def said(token: Token) -> str:
    """An inline token's words: link texts stay, code becomes one word, pictures go."""
    parts = []
    for child in token.children or ():
        if child.type == "text":
            parts.append(child.content)
        elif child.type == "code_inline":
            parts.append(CODE)
        elif child.type in ("softbreak", "hardbreak"):
            parts.append(" ")
    return "".join(parts)


def passages(page: Path) -> Iterator[Passage]:
    """A Markdown page's passages, in order; code blocks are left out."""
    kinds = {"heading_open": "heading", "td_open": "cell", "th_open": "cell"}
    kind, line = "paragraph", 0
    for token in MARKDOWN.parse(page.read_text(encoding="utf-8")):
        if token.type.endswith("_open"):
            kind = kinds.get(token.type, "paragraph")
            line = token.map[0] + 1 if token.map else line
        elif token.type == "inline":
            links = tuple(
                str(child.attrGet("href") or child.attrGet("src"))
                for child in token.children or ()
                if child.type in ("link_open", "image")
            )
            yield Passage(kind, said(token), links, line)


def anchors(page: Path) -> set[str]:
    """What a link to a heading of this page may name, as GitHub forms it."""
    found: dict[str, int] = {}
    names = set()
    for token, content in zip(*headings(page), strict=True):
        del token
        name = re.sub(r"[^\w\- ]", "", content.lower()).replace(" ", "-")
        again = found.get(name, 0)
        found[name] = again + 1
        names.add(f"{name}-{again}" if again else name)
    return names


def headings(page: Path) -> tuple[list[str], list[str]]:
    """Levels and texts of a page's headings, code in them included."""
    tokens = MARKDOWN.parse(page.read_text(encoding="utf-8"))
    at = [index for index, token in enumerate(tokens) if token.type == "heading_open"]
    texts = ["".join(child.content for child in tokens[index + 1].children or ()) for index in at]
    return [tokens[index].tag for index in at], texts


def sentences(text: str) -> list[str]:
    """A passage's sentences; one that ends in a colon before a list or code counts, too."""
    text = ABBREVIATIONS.sub(lambda found: found[0].replace(".", "\u2024"), text)
    return [each for each in ENDS.split(text.strip()) if words(each)]


def words(sentence: str) -> int:
    """How many words a sentence has: what has a letter or a digit in it."""
    return sum(any(map(str.isalnum, word)) for word in sentence.split())
