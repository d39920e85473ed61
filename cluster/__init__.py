"""Where sweeps run: cluster files, jobs, and the doctor."""
