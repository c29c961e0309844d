"""When to ask for the next data port: as soon as the server has seen the end of a file, before it says so.

ProFTPD refuses EPSV while a transfer goes on ("450 EPSV: data transfer in progress"), and looks for commands each time
before it reads data. A command that arrives a little after the end of the file is read after the transfer, and saves a
round trip. One that comes too early costs nothing but itself. How long "a little" is, is learnt from the refusals.
"""

FIRST_DELAY = 0.003
SHORTEST, LONGEST = 0.0005, 0.05
"""Seconds between our last packet and the command."""
LESS, MUCH_LESS, MORE = 0.97, 0.8, 1.6


class EarlyPort:
    """The delay for one server, in seconds. Shared by threads: an update that gets lost does no harm."""

    def __init__(self) -> None:
        self.delay = FIRST_DELAY

    def in_time(self) -> None:
        """The server named a port: try a little earlier next time."""
        self._shorten(LESS)

    def too_late(self) -> None:
        """The server said that it has the file before it was asked."""
        self._shorten(MUCH_LESS)

    def too_early(self, delay: float) -> None:
        """The server was still busy after this delay. Several connections may find that out together."""
        self.delay = max(self.delay, min(LONGEST, delay * MORE))

    def _shorten(self, factor: float) -> None:
        self.delay = max(SHORTEST, self.delay * factor)
