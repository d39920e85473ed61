"""Observers of a running sweep: progress, TensorBoard, records, checkpoints."""
