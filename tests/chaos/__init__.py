"""Never twice, never lost: crashes, faults, races and quotas, in a world that runs on real commits.

`make test` runs a part of each module here, `make chaos` the whole; see docs/reliability.md for what each one shows.
"""
