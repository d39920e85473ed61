"""SVG pictures, tables, wording and HTML pages."""
