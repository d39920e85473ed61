from analysis.provenance import data_table, provenance_table


def facts(table):
    return dict(row.cells for row in table.rows)


def test_data_and_weights_are_told(findings):
    told = facts(data_table(findings))
    assert told["photos from"] == "/photos/rare_species"
    assert told["weights the backbone started from"] == "imagenet: ImageNet weights from Keras"
    assert told["photos left out"] == "5 near-duplicate and 3 unreadable"
    assert told["fingerprint of photos and split"].startswith("0000")
    assert "70\u202f% training" in told["split"]
    assert told["prepared on"] == "23 November 2026, 17:02 UTC"


def test_versions_commit_seed_and_machine_are_told(findings):
    told = facts(provenance_table(findings))
    assert "optuna 5.0.0" in told["versions"]
    assert told["commit of Raretune"] == "8a1405b"
    assert told["seed of the sweep"] == "7"
    assert told["machines"] == "node-1 (cpu)"


def test_what_is_not_known_is_left_out(changed):
    found = changed(lambda folder: (folder / "provenance.json").unlink())
    assert "command" not in facts(provenance_table(found))
