"""What carries bytes between a host and a board: a serial port, or a socket in its place."""

import errno
import os
import select
import socket
import termios
import time
from typing import Protocol

from caduceus.spec.errors import UserError

_WRITE_SECONDS = 10


class Line(Protocol):
    """Bytes both ways. Errors of the line itself, as when it is closed, are `UserError`s."""

    def write(self, data: bytes) -> None:
        """Send bytes."""
        ...

    def read(self, seconds: float) -> bytes:
        """The bytes that have come, at least one unless none comes in time."""
        ...

    def now(self) -> float:
        """Seconds, of whatever time passes on the line."""
        ...

    def close(self) -> None:
        """Say no more."""
        ...


class _RealTime:
    """A line in the world."""

    def now(self) -> float:
        """Seconds of a clock that never goes back."""
        return time.monotonic()


def _reason(error: Exception) -> str:
    """What the system says, without what the library says about it."""
    for found in (error.__context__, error):
        # `termios.error` has number and sentence, and no name for either.
        sentence = getattr(found, "strerror", None) or (found.args[1:] if found else None)
        if sentence:
            return sentence if isinstance(sentence, str) else str(sentence[0])
    return " ".join(str(error).split())


class SerialLine(_RealTime):
    """A serial port, 8N1.

    Raises:
        UserError: it cannot be opened.
    """

    def __init__(self, port: str, baud: int) -> None:
        import serial  # Of the extra `fpga`: only boards need it.

        self._port = port
        try:
            self._serial = serial.Serial(
                port, baud, timeout=0, write_timeout=_WRITE_SECONDS, exclusive=True
            )
        except (OSError, ValueError) as error:
            raise self._closed(error) from None
        try:
            # What an earlier session left is not for this one.
            self._serial.reset_input_buffer()
        except (OSError, termios.error) as error:
            self._serial.close()
            raise self._closed(error) from None

    def write(self, data: bytes) -> None:
        """Send bytes."""
        try:
            self._serial.write(data)
        except OSError as error:
            raise self._lost(error) from None

    def read(self, seconds: float) -> bytes:
        """Bytes that have come."""
        try:
            # To set the port's own timeout would configure it anew each time.
            if not select.select([self._serial], [], [], seconds)[0]:
                return b""
            data = self._serial.read(max(1, self._serial.in_waiting))
        except (OSError, TypeError, ValueError) as error:
            raise self._lost(error) from None
        if not data:
            raise UserError(f"{self._port}: the serial port was lost")
        return data

    def _closed(self, error: Exception) -> UserError:
        reason = _reason(error)
        if reason == os.strerror(errno.ENOTTY):  # a file was asked for a line's settings
            reason = "it is none"
        return UserError(f"{self._port}: cannot open the serial port: {reason}")

    def _lost(self, error: Exception) -> UserError:
        return UserError(f"{self._port}: the serial port was lost: {_reason(error)}")

    def close(self) -> None:
        """Give the port back."""
        self._serial.close()


class SocketLine(_RealTime):
    """A connected socket; `what` it leads to is named when it ends."""

    def __init__(self, connection: socket.socket, what: str) -> None:
        self._socket, self._what = connection, what

    def write(self, data: bytes) -> None:
        """Send bytes."""
        # A read leaves what it had left of its time.
        self._socket.settimeout(_WRITE_SECONDS)
        try:
            self._socket.sendall(data)
        except OSError:
            raise UserError(f"{self._what} ended") from None

    def read(self, seconds: float) -> bytes:
        """Bytes that have come."""
        self._socket.settimeout(seconds)
        try:
            data = self._socket.recv(1 << 16)
        except TimeoutError:
            return b""
        except OSError:
            data = b""
        if not data:
            raise UserError(f"{self._what} ended")
        return data

    def close(self) -> None:
        """End it."""
        self._socket.close()
