from analysis.report.sections.provenance import data_table, provenance_table


def facts(table):
    return dict(row.cells for row in table.rows)


def test_data_and_weights_are_told(example_data):
    reported = facts(data_table(example_data))
    assert reported["photos from"] == "/photos/rare_species"
    assert reported["weights the backbone started from"] == "imagenet: ImageNet weights from Keras"
    assert reported["photos left out"] == "5 near-duplicate and 3 unreadable"
    assert reported["fingerprint of photos and split"].startswith("0000")
    assert "70\u202f% training" in reported["split"]
    assert reported["prepared on"] == "23 November 2026, 17:02 UTC"


def test_versions_commit_seed_and_machine_are_told(example_data):
    reported = facts(provenance_table(example_data))
    assert "optuna 5.0.0" in reported["versions"]
    assert reported["commit of Raretune"] == "8a1405b"
    assert reported["seed of the sweep"] == "7"
    assert reported["machines"] == "node-1 (cpu)"


def test_what_is_not_known_is_left_out(changed):
    found = changed(lambda folder: (folder / "provenance.json").unlink())
    assert "command" not in facts(provenance_table(found))
