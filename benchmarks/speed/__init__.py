"""What ``bench.py`` and ``bench_scale.py`` share: data, contestants, clocks, references, tables."""
