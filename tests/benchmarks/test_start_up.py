"""What a command of the shell costs before it says anything, in CPU seconds of its process.

Compared with Python alone, and with NumPy, which `data` needs.
"""

import resource
import subprocess
import sys

#: A list that only reads the package's files takes so many times what Python alone does.
LIST_TIMES, LIST_S, ROUNDS = 8, 0.3, 5
PROGRAMS = {"python": "pass", "numpy": "import numpy",
            **{command: f"from bioopzo.cli import main; main([{command!r}])"
               for command in ("rules", "neurons", "tasks", "data")},
            "training, imported": "import bioopzo; bioopzo.train; bioopzo.compare"}


def cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def spent(program):
    begin = cpu()
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    return cpu() - begin


def test_lists_wait_for_nothing(figures):
    least = {name: min(spent(program) for _ in range(ROUNDS))
             for name, program in PROGRAMS.items()}
    figures["start_up"] = least
    print("\nseconds of CPU, the least of", ROUNDS, "rounds")
    for name, seconds in least.items():
        print(f"{name:<20}{seconds:.3f} s, {seconds / least['python']:.1f} of Python alone, "
              f"{seconds / least['numpy']:.1f} of NumPy")
    for name in ("rules", "neurons", "tasks"):
        assert least[name] <= LIST_TIMES * least["python"]
    assert all(least[name] <= LIST_S for name in ("rules", "neurons", "tasks", "data"))
