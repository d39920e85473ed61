"""What a user writes: the sweep file, its keys and its search space."""
