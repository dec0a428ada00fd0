"""A generative model of a micro-video platform (docs/simulation.md). Plain numpy and scipy: no files but the
release that it can be calibrated from, no RecBole.
"""
