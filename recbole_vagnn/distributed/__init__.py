"""One training in several processes (`--nproc`); docs/distributed.md says what is exact and what it costs.

Every process is given the same batch and draws the same numbers. Each computes its share of the loss, the gradients
are added up, and all make the same step.
"""
