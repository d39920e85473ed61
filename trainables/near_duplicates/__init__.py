"""Photos that show the same picture, found by perceptual hashes."""
