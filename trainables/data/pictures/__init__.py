"""Picture files beyond what Pillow reads well: their kinds, TIFF, JPEG XL, and samples of any depth."""
