"""Power cuts at every write, and damage to every file: what a person may find, and what must come of it.

`forgetful_disk.py` records what a command writes and lays out what a power cut would have left of it; to add a command,
write a test in `test_power_cut.py` that records it and says what must come of each state. To add a file or a command to
the damages, add a line to the tables of `test_damaged_files.py`. The long forms are marked slow.
"""
