"""Measurements, by `scripts/bench`: docs/performance.md says what and how."""
