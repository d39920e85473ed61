"""The field's formats: one module each, all read into one table of records"""

from trainables.data.formats.camtrap_dp import CamtrapDP
from trainables.data.formats.coco_ct import CocoCameraTraps
from trainables.data.formats.darwin_core import DarwinCoreArchive
from trainables.data.formats.parquet import ParquetTables
from trainables.data.formats.records import Format

FORMATS: tuple[Format, ...] = (CamtrapDP(), DarwinCoreArchive(), CocoCameraTraps(), ParquetTables())
