"""Sections of the report, one a file; these headings stand over several."""

from analysis.render.section import Heading

SWEEP = Heading("sweep", "The sweep")
SETTINGS = Heading("settings", "What the settings did", "Settings")
MISTAKES = Heading("mistakes", "Mistakes")
DATA = Heading("data", "Data")
