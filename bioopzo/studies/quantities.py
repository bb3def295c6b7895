"""Parameters of studies are plain numbers, as JSON holds them; their names say the unit."""

from brian2.units import Hz, ms

UNITS = {"_hz": Hz, "_ms": ms}


def with_units(values):
    """Numbers by name as keywords of `Model`: ``{"eta_hz": 80.0}`` gives ``{"eta": 80*Hz}``.

    `values` whose names end otherwise stay as they are.
    """
    found = {}
    for name, value in values.items():
        unit = next((suffix for suffix in UNITS if name.endswith(suffix)), "")
        found[name.removesuffix(unit)] = value * UNITS[unit] if unit else value
    return found
