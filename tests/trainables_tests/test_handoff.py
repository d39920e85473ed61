import json
from pathlib import Path

import pytest

from tests.probe_example import probe_record
from tests.trainables_tests.training_example import handoff
from trainables.data.dataset import Dataset
from trainables.errors import UserError
from trainables.handoff import read_handoff, write_handoff


def test_what_is_written_is_read_again_and_the_folder_is_made(small_dataset: Dataset, tmp_path: Path) -> None:
    written = handoff(small_dataset, costs={"model_mb": 88.9})
    write_handoff(written, tmp_path / "pareto" / "trial_0007.json")
    assert read_handoff(tmp_path / "pareto" / "trial_0007.json") == written
    assert [file.name for file in (tmp_path / "pareto").iterdir()] == ["trial_0007.json"]


def test_the_probe_stands_in_it_and_an_older_one_has_none(small_dataset: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "best.json"
    write_handoff(handoff(small_dataset, probe=probe_record()), file)
    assert read_handoff(file).probe == probe_record()
    values = json.loads(file.read_text())
    del values["probe"]
    file.write_text(json.dumps(values))
    assert read_handoff(file).probe is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, r"best\.json does not exist; `python -m search run` writes it"),
        ("{", "not a hand-off of a sweep: invalid JSON"),
        ("{}", "not a hand-off of a sweep: the key 'config' is missing"),
    ],
)
def test_what_is_no_handoff_is_refused_in_one_line(tmp_path: Path, text: str | None, says: str) -> None:
    if text is not None:
        (tmp_path / "best.json").write_text(text)
    with pytest.raises(UserError, match=says) as error:
        read_handoff(tmp_path / "best.json")
    assert "\n" not in str(error.value)


def test_the_probes_depths_are_named_one_by_one_or_from_first_to_last() -> None:
    assert probe_record().words() == "logistic regression on mixed9 + mixed10"
    many = tuple(f"mixed{number}" for number in range(5))
    assert probe_record(depths=many, classifier="discriminant analysis").words() == (
        "discriminant analysis on mixed0 to mixed4"
    )
