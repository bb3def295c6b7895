"""Loads what all tests have in common, `common`, where tests run.

The process that hands them out to others (``-n``) does not wait for any of it.
"""

import signal


def pytest_configure(config):
    """Take the fixtures of `common`, unless this process runs no test."""
    # As in a shell, whatever started this; Brian2 cannot bear that it is ignored, as nohup has it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(config, "workerinput") or not getattr(config.option, "numprocesses", None):
        config.pluginmanager.import_plugin("common")
