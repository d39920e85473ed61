"""Use of the final model: predict, explain, export."""
