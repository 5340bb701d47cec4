"""Other ways to run a job behind HTTP, each set up as its own documentation says.

Every file but `compare`, `systems`, `stores` and `load` is a part of one of them.
"""
