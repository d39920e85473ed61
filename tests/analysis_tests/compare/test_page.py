import pandas as pd
import pytest

from analysis.compare.candidates import candidates
from analysis.compare.page import write_comparison
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


def test_somebody_elses_page_stays(example, better, tmp_path):
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(UserError, match="is not a Raretune comparison and stays as it is"):
        write_comparison(candidates([example.experiment, better]), tmp_path)
