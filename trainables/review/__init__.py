"""The ranked contact sheet of photos that may not belong."""
