"""Loads what all tests have in common, `common`, where tests run.

The process that hands them out to others (``-n``) does not wait for any of it.
"""


def pytest_configure(config):
    """Take the fixtures of `common`, unless this process runs no test."""
    if hasattr(config, "workerinput") or not getattr(config.option, "numprocesses", None):
        config.pluginmanager.import_plugin("common")
