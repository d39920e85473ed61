"""Which configurations should a sweep try first?"""
import argparse, tempfile
from pathlib import Path
from tests.benchmarks.curve_sets import SETS, record

def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("photos", type=Path)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--precision", default="bfloat16")
    options = parser.parse_args()
    for name in options.sets:
        with tempfile.TemporaryDirectory(prefix="bench-portfolio-") as scratch:
            record(name, options.photos.resolve(), str(Path(options.weights).resolve()), Path(scratch), options.precision)

if __name__ == "__main__":
    main()
