"""What a connection is held to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one connection may do. Times in seconds, sizes in bytes."""

    receive_within: float = 30.0
    """From a request's first byte, or from the connection, to the end of its body."""
    max_head: int = 65_536
    """The request line and all header fields together; a trailer may have as many again."""
    max_fields: int = 100
    max_pipelined: int = 100
    """Requests that wait for the answer to one before them; the connection ends after those."""
    max_connections: int = 10_000
    """Connections of the whole server whose requests are answered."""
    spare_connections: int = 64
    """Beyond them, those that are told so; any more are closed at once."""
