"""Which neurons a sparse projection connects, as a function that Brian2 asks of every pair."""

import brian2 as b2
import numpy as np

from bioopzo.network.connections import Sparse

_CODE = """
static inline double NAME(double i, double j)
{
    static const unsigned char bits[] = {BITS};
    const long pair = (long)i*POST + (long)j;
    return (bits[pair >> 3] >> (7 - (pair & 7))) & 1;
}
"""


def pairs(name: str, connection: Sparse) -> b2.Function:
    """The function called `name` that is 1 for connected neurons i and j, and 0 for others.

    Its table is a part of the code, so that a compiled program needs no other file.
    """
    mask = connection.mask

    def connected(i, j):
        return mask[np.asarray(i, int), np.asarray(j, int)].astype(float)

    code = _CODE.replace("NAME", name).replace("POST", str(connection.post)).replace(
        "BITS", ", ".join(map(str, connection.bits)))
    made = b2.Function(connected, arg_units=[1, 1], return_unit=1, arg_types=["any"] * 2,
                       return_type="float", stateless=True)
    made.implementations.add_implementation("numpy", connected)
    made.implementations.add_implementation("cpp", code, name=name)
    made.implementations.add_implementation("cython", "\n".join([
        "cdef extern from *:", "    \'\'\'", *("    " + line for line in code.splitlines()),
        "    \'\'\'", f"    double {name}(double, double) nogil"]), name=name)
    return made
