"""RecBole's LightGCN, NGCF, SGL, NCL and EASE by faster sums: products, contrasts, an inverse. Results equal RecBole's.

Each class is a subclass of RecBole's that replaces the steps that take the time. Parameters, their names, losses,
gradients and every random draw stay, so checkpoints fit both classes and a seed gives the same training curve, to
float rounding. ``registry.model_class`` picks these classes where ``fast_propagation`` is True.
"""
