"""awaitd: an HTTP job runner for Python coroutines."""

__version__ = "0.1.0"
