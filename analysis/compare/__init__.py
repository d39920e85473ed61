"""Comparison of experiments and final models."""
