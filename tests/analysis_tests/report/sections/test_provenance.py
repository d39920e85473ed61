from analysis.report.sections.provenance import section


def facts(data):
    (table,) = section(data).parts
    return dict(row.cells for row in table.rows)


def test_versions_commit_seed_and_machine_are_told(example_data):
    reported = facts(example_data)
    assert "optuna 5.0.0" in reported["versions"]
    assert reported["commit of Raretune"] == "8a1405b"
    assert reported["seed of the sweep"] == "7"
    assert reported["machines"] == "node-1 (cpu)"


def test_what_is_not_known_is_left_out(changed):
    found = changed(lambda folder: (folder / "provenance.json").unlink())
    assert "command" not in facts(found)
