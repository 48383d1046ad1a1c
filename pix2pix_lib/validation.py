"""Checks of what a caller passes in, shared by the modules below everything else."""


def check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise a ValueError that lists the allowed values if `value` is not one of them."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {value!r}")
