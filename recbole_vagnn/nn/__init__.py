"""Tensors in, tensors out: no configuration, no RecBole."""
