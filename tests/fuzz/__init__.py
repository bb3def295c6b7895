"""Differential fuzzing: what is written is what runs, in all three forms, or it is refused.

    python -m tests.fuzz --draws 1000 --seed 7 --out folder --jobs 2
    python -m tests.fuzz --seed 7 --only 123

A draw (`fuzz.strategy`) is a small model of any rule, neuron, coding and reset, with up to three
edits of its text, and a plan of training and evaluation trials. `fuzz.executors` runs it as dense
Brian2, as lazy Brian2 and in the rate engine, all on the same random numbers, and compares every
variable after every trial; or all of them refuse it, before anything runs, by an error of the
package. Anything else is a counterexample: it is reduced and written as a file that can be run.

Draw K of seed S is the same whatever else is drawn. The tables printed say which blocks, rules,
neurons, codings and resets were drawn, and how many of them ran and were refused.
"""
