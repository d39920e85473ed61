"""The probe: a linear classifier on the frozen backbone's pooled features, found in seconds."""
