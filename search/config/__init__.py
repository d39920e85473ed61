"""The sweep file: its keys, search space and registries."""
