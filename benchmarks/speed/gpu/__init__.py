"""What ``gpu.py`` measures on a device: checks, sparse products, training."""
