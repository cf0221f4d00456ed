r"""Experiments on real data: one harness, one table of readouts, one command per task.

Nothing in :mod:`torch_geometric_uotp` imports from here.
"""
