"""The engines: each accepts, keeps, runs and cancels jobs behind the port of `app.jobs.engine`."""
