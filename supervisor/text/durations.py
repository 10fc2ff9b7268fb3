"""How long something took, in words for people."""

_UNITS_S = (("d", 86_400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1))
_TENTHS_BELOW_S = 10
"""Where a tenth of a second still says something."""


def span(seconds: float | None) -> str:
    """Say how long something took: `0.3s`, `42s`, `5m12s`, `3h05m`, `4d02h`; a dash if unknown."""
    if seconds is None:
        return "-"
    if seconds < _TENTHS_BELOW_S:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for unit, length, smaller, smaller_length in _UNITS_S:
        if whole >= length:
            return f"{whole // length}{unit}{whole % length // smaller_length:02}{smaller}"
    return f"{whole}s"
