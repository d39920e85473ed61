"""Backbones, their cut into frozen prefix and trained tail, optimizers."""
