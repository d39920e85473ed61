"""How many planted photos stand high in the review list: precision and recall at k.

    python -m tests.benchmarks.bench_review
    python -m tests.benchmarks.bench_review --image-size 139 --kinds

120 photos of people, banknotes, chairs, aeroplanes, motorbikes and watches are planted in 3,972 photos of animals as
planted.csv says (symbolic links, in a temporary folder), and the folder is reviewed as the command does it. `--kinds`
plants each kind alone too, on the same features: 20 photos among 3,972 is a sixth of what the study met.
"""

import argparse
import csv
import resource
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.review import review as reviewing
from trainables.review.options import ReviewOptions
from trainables.review.ranking import Floats, pooled_features, rank_photos

SHARED = Path(__file__).resolve().parents[3] / "shared"
AT = (20, 40, 60, 80, 120, 160, 200, 240, 480)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=SHARED, help="folder with data/ and weights/")
    parser.add_argument("--weights", help="default: the shared InceptionV3 weights")
    parser.add_argument("--image-size", type=int, default=299)
    parser.add_argument("--kinds", action="store_true", help="plant each kind alone too")
    arguments = parser.parse_args()
    weights = arguments.weights or str(next((arguments.shared / "weights").glob("inception_v3*.h5")))
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder, "photos")
        planted = plant(arguments.shared / "data", photos)
        start = time.perf_counter()
        kept = keep_features()
        options = ReviewOptions(weights=weights, image_size=arguments.image_size, top=max(AT))
        found = reviewing.review(photos, Path(folder, "review"), options, say=print).section("irrelevant")
        page = Path(folder, "review", reviewing.PAGE).stat().st_size
        seconds, memory = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"{seconds:.0f} s, at most {memory:.1f} GB; the page of {len(found)} entries is {page / 1e6:.1f} MB\n")
    print_curve([one.source in planted for one in found], len(planted))
    print_by_kind([planted.get(one.source, "") for one in found], list(planted.values()))
    if arguments.kinds:
        alone(kept, planted)


def plant(data: Path, root: Path) -> dict[str, str]:
    """Link all photos below `root`, the planted ones among them; {path of a planted photo: its kind}."""
    for family in sorted(path for path in (data / "rare_families").iterdir() if path.is_dir()):
        (root / family.name).mkdir(parents=True)
        for photo in family.iterdir():
            (root / family.name / photo.name).symlink_to(photo.resolve())
    planted = {}
    for row in csv.DictReader((data / "planted_irrelevant" / "planted.csv").read_text().splitlines()):
        source = f"{row['planted_in']}/{row['file']}"
        (root / source).symlink_to((data / "planted_irrelevant" / row["file"]).resolve())
        planted[source] = row["what"]
    return planted


def print_curve(hits: Sequence[bool], planted: int) -> None:
    """Print precision and recall at each of `AT`."""
    print("   k  found  precision  recall")
    for k in AT:
        found = sum(hits[:k])
        print(f"{k:4d}  {found:5d}  {found / k:9.3f}  {found / planted:6.3f}")


def print_by_kind(listed: Sequence[str], planted: Sequence[str]) -> None:
    """Print how many of each kind stand in the first 120 and 240."""
    print("\nkind          planted  in first 120  in first 240")
    for kind in sorted(set(planted)):
        print(f"{kind:13s}  {planted.count(kind):6d}  {listed[:120].count(kind):12d}  {listed[:240].count(kind):12d}")


def keep_features() -> dict[str, Floats]:
    """Have the review leave the features of each photo in the dictionary that is returned."""
    kept: dict[str, Floats] = {}

    def keeping(root: Path, sources: Sequence[str], *rest: Any) -> Floats:
        features = pooled_features(root, sources, *rest)
        kept.update(zip(sources, features, strict=True))
        return features

    reviewing.pooled_features = keeping
    return kept


def alone(features: Mapping[str, Floats], planted: Mapping[str, str]) -> None:
    """Print, for each kind planted alone, how many of its photos stand in the first 20, 40 and 80."""
    rows = np.stack(list(features.values()))
    kinds = np.array([planted.get(source, "") for source in features])
    families = np.array([source.split("/")[0] for source in features])
    print("\nplanted alone  photos  in first 20  in first 40  in first 80")
    for kind in sorted(set(planted.values())):
        hits = hits_of(rows, families, kinds, kind)
        print(f"{kind:13s}  {hits.sum():6d}  {hits[:20].sum():11d}  {hits[:40].sum():11d}  {hits[:80].sum():11d}")


def hits_of(
    features: Floats, families: npt.NDArray[np.str_], kinds: npt.NDArray[np.str_], kind: str
) -> npt.NDArray[np.bool_]:
    """Whether each photo of the list is of `kind`, when no other kind is planted; near-duplicates are not grouped."""
    there = (kinds == "") | (kinds == kind)
    apart = [str(row) for row in range(int(there.sum()))]
    ranking = rank_photos(features[there], families[there].tolist(), apart)
    return np.asarray(kinds[there][ranking.order()] == kind)


if __name__ == "__main__":
    main()
