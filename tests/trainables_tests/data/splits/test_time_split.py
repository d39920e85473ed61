from datetime import datetime, timedelta

import pytest

from trainables.data.photo_files import PhotoFile
from trainables.data.splits.time_split import split_by_time
from trainables.errors import UserError

STUDY = (0.7, 0.15, 0.15)
DAY = datetime(2020, 1, 1)


def photo(number: int, day: int | None, family: str = "a") -> PhotoFile:
    time = None if day is None else DAY + timedelta(days=day)
    return PhotoFile(f"p{number:03d}", f"{number}.jpg", family, time=time)


def test_the_earliest_are_for_training_and_the_latest_for_test() -> None:
    photos = [photo(number, number) for number in range(100)]
    split = split_by_time(photos, [one.photo_id for one in photos], STUDY)
    splits = [split.of_group[one.photo_id] for one in photos]
    assert splits == ["train"] * 70 + ["validation"] * 15 + ["test"] * 15
    assert split.notes == ("validation begins with 2020-03-11", "test begins with 2020-03-26")


def test_without_test_the_latest_are_for_validation() -> None:
    photos = [photo(number, number) for number in range(20)]
    split = split_by_time(photos, [one.photo_id for one in photos], (0.8, 0.2, 0.0))
    assert [split.of_group[one.photo_id] for one in photos] == ["train"] * 16 + ["validation"] * 4


def test_groups_are_not_parted_and_what_could_not_be_kept_is_said() -> None:
    photos = [photo(number, number) for number in range(20)] + [photo(90, None), photo(91, 19, "late")]
    groups = [one.photo_id for one in photos]
    groups[2] = groups[18]  # one group from the third day to the nineteenth
    split = split_by_time(photos, groups, STUDY)
    assert split.of_group[groups[18]] == "test"
    assert split.of_group["p090"] == "train"  # without a time
    assert split.of_group["p091"] == "train" and split.train_only == ["late"]
    told = "; ".join(split.notes)
    assert "1 groups of validation and test begin before the last training photo" in told
    assert "1 groups have photos without a time" in told
    assert "1 families are only seen later, and are in training: late" in told


def test_photos_without_times_are_refused() -> None:
    with pytest.raises(UserError, match="--split-by-time needs photos with different times"):
        split_by_time([photo(1, None), photo(2, None)], ["a", "b"], STUDY)
