"""Hyper-parameter search: spaces, engine, records, reports."""
