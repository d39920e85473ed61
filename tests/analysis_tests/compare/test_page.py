import shutil

import pandas as pd
import pytest

from analysis.compare.candidates import candidates
from analysis.compare.page import own_folder, write_comparison
from tests.analysis_tests.page import Page
from trainables.errors import UserError


@pytest.fixture
def better(copied):
    """The example with every tenth wrong answer of its kept model put right."""
    file = copied / "final" / "predictions.csv"
    table = pd.read_csv(file)
    wrong = table.index[(table["family"] != table["predicted"]) & (table["stage"] == "after")][::2]
    table.loc[wrong, "predicted"] = table.loc[wrong, "family"]
    table.to_csv(file, index=False)
    return copied


def test_the_page_holds_the_verdict_a_plot_and_the_table(example, better, tmp_path):
    folder, said = write_comparison(candidates([example.experiment, better]), tmp_path / "out")
    assert "is better than" in said[0]
    text = folder.read_text()
    page = Page(text)
    assert page.wrong == page.open == []
    assert "is better than" in text
    assert {"scores.svg", "race.svg"} == {file.name for file in (tmp_path / "out" / "figures").iterdir()}
    assert len(pd.read_csv(tmp_path / "out" / "comparison.csv")) == 2
    assert page.unheard() == []


def test_a_comparison_of_others_stays_and_the_same_one_is_written_anew(example, better, tmp_path):
    first, second = candidates([example.experiment, better]), candidates([better, example.experiment])
    assert own_folder(first, tmp_path / "comparison") == tmp_path / "comparison"
    write_comparison(first, tmp_path / "comparison")
    assert own_folder(first, tmp_path / "comparison") == tmp_path / "comparison"
    place = own_folder(second, tmp_path / "comparison")
    assert place == tmp_path / "comparison" / "2"
    write_comparison(second, place)
    assert own_folder(second, tmp_path / "comparison") == place
    with pytest.raises(UserError, match=r"holds a comparison of .* give another folder with --out"):
        write_comparison(second, tmp_path / "comparison")


def test_long_names_leave_the_plot_its_room(example, better, tmp_path, recwarn):
    long = tmp_path / "a_sweep_of_all_families_with_every_picture_of_the_last_five_years_on_the_large_machine"
    shutil.copytree(better, long)
    folder, _ = write_comparison(candidates([example.experiment, long]), tmp_path / "out")
    assert not [one for one in recwarn if "constrained_layout" in str(one.message)]
    assert "a_sweep_of_all" in folder.read_text()


def test_somebody_elses_page_stays(example, better, tmp_path):
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(UserError, match="is not a Raretune comparison and stays as it is"):
        write_comparison(candidates([example.experiment, better]), tmp_path)
