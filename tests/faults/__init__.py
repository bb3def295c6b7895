"""Faults tried: what is done to the package, what it says, and what is still there afterwards.

``python -m tests.faults`` tries them all and prints a table; ``--out FILE`` writes it (``.md`` or
``.json``), ``--only WORD`` tries those with the word in their name or kind, ``--quick`` those that
`tests/test_faults.py` runs too. ``python -m tests.faults kills`` ends trainings and sweeps by
SIGKILL at random moments, and looks whether they go on to the same bits.

A fault is *handled* if what is said is not empty and names the culprit, it is an error of the
package (or the user's own, where that is what went wrong), and nothing that was saved is lost. We
often run as root, who may write everywhere: in place of a read-only folder stands a file where a
folder is wanted, a folder where a file is wanted, /proc, a pipe, or a write that fails.
"""
