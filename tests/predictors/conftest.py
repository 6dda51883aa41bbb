"""The authors' own tests run where an author runs them (`test_authors.py`), not from here."""

collect_ignore_glob = ["*/test_*.py"]
