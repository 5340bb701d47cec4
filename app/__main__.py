"""`python -m app` is the command `awaitd`."""

from app.cli import main

main()
