from analysis.report.sections.provenance import provenance_table


def facts(table):
    return dict(row.cells for row in table.rows)


def test_versions_commit_seed_and_machine_are_told(example_data):
    reported = facts(provenance_table(example_data))
    assert "optuna 5.0.0" in reported["versions"]
    assert reported["commit of Raretune"] == "8a1405b"
    assert reported["seed of the sweep"] == "7"
    assert reported["machines"] == "node-1 (cpu)"


def test_what_is_not_known_is_left_out(changed):
    found = changed(lambda folder: (folder / "provenance.json").unlink())
    assert "command" not in facts(provenance_table(found))
