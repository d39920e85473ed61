"""The frozen prefix's outputs, computed once and stored for all trials."""
