"""Lines that carry bytes between a host and a board: a serial port, or a socket in its place."""

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
    """Bytes both ways. Errors of the line itself, such as a closed port, are `UserError`s."""

    def write(self, data: bytes) -> None:
        """Send bytes."""
        ...

    def read(self, seconds: float) -> bytes:
        """The bytes received; at least one, unless none arrives in `seconds`."""
        ...

    def now(self) -> float:
        """Seconds on the line's own clock."""
        ...

    def close(self) -> None:
        """Close the line."""
        ...


class _RealTime:
    """A line whose clock is the machine's."""

    def now(self) -> float:
        """Seconds of a clock that never goes back."""
        return time.monotonic()


def _reason(error: Exception) -> str:
    """The operating system's sentence, without the library's words around it."""
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
            # Bytes that an earlier session left are not for this one.
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
        """The bytes received."""
        try:
            # Setting the port's own timeout would configure the port again each time.
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
        if reason == os.strerror(errno.ENOTTY):  # the file is no terminal
            reason = "not a serial port"
        return UserError(f"{self._port}: cannot open the serial port: {reason}")

    def _lost(self, error: Exception) -> UserError:
        return UserError(f"{self._port}: the serial port was lost: {_reason(error)}")

    def close(self) -> None:
        """Close the port."""
        self._serial.close()


class SocketLine(_RealTime):
    """A connected socket; messages call its other end `what`."""

    def __init__(self, connection: socket.socket, what: str) -> None:
        self._socket, self._what = connection, what

    def write(self, data: bytes) -> None:
        """Send bytes."""
        # The time-out of the last read is still set.
        self._socket.settimeout(_WRITE_SECONDS)
        try:
            self._socket.sendall(data)
        except OSError:
            raise UserError(f"{self._what} ended") from None

    def read(self, seconds: float) -> bytes:
        """The bytes received."""
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
        """Close the socket."""
        self._socket.close()
