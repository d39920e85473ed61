"""The final stage: oversample, retrain, test once, write the model."""
