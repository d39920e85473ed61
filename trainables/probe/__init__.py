"""The probe: a linear classifier on the frozen backbone's features."""
