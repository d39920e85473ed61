"""Decide what to run: sweep config, space, searcher, ASHA, hand-off."""
