"""One module per rule: read files, call the library, write files.

Each public module has ``run(job: caploc.jobs.digests.Job) -> None``. Only these modules know paths;
none holds a formula.
"""
