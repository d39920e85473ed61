"""search/experiment/provenance.py: the record that a sweep writes when it starts."""

from search.experiment import provenance


def test_the_record_says_when_where_on_what_and_how() -> None:
    record = provenance.provenance(3, "/data", "abc")
    assert (record["seed"], record["dataset"], record["dataset_fingerprint"]) == (3, "/data", "abc")
    assert record["host"] and record["command"] and record["started"].endswith("+00:00")
