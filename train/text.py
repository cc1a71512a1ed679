"""What a character model is trained on: a text of one's own, and its symbols."""

from pathlib import Path

from caduceus.spec.errors import UserError
from caduceus.spec.program_check import SYMBOLS_MAX


def symbols_of(text: str) -> str:
    """The symbols of a text, each once, in the order of their code points."""
    return "".join(sorted(set(text)))


def own_text(path: Path) -> str:
    """A text file of one's own (UTF-8), whole.

    Raises:
        UserError: it cannot be read, or has fewer than two different characters.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot read the text: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: cannot read the text: it is not UTF-8") from None
    if not 2 <= len(set(text)) <= SYMBOLS_MAX:
        raise UserError(
            f"{path}: the text has {len(set(text))} different characters: expected 2 to "
            f"{SYMBOLS_MAX}"
        )
    return text
