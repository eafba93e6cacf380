"""One folder an experiment: settings, jobs, stages, tables and its section of the page.

An experiment is found by its folder. Public modules beside `settings`, `jobs`, `table` and `report`
are stages, each with ``run(job)``; modules with an underscore belong to the folder.
"""
