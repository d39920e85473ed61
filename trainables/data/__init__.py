"""From photos to a prepared dataset: layouts, splits, shards."""
