"""Experiments: benchmark, tuning, studies and the statistics of their reports."""
