"""Use of a trained model: predict, explain, export."""
