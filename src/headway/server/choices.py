"""What an operator chooses of how protocols speak: the setting `dialect`, against what their `CHOICES` offer. Pure."""

from collections.abc import Mapping, Sequence

from headway import errors, plugins


def choices() -> dict[str, Mapping[str, Sequence[str]]]:
    """What may be chosen of each protocol: its `CHOICES`."""
    names = plugins.in_turn("protocols")
    return {name: plugins.literal("protocols", name, "CHOICES", {}) for name in names}


def chosen(
    dialect: str, choices: Mapping[str, Mapping[str, Sequence[str]]]
) -> dict[str, dict[str, str]]:
    """What an operator has chosen, else the default: pseudo-headers by protocol.

    Args:
        dialect: the setting, "v1-inputs=kserve,...".
        choices: by protocol, by name.

    Raises:
        ConfigError: there is no such choice.
    """
    wanted = dict(pair.strip().split("=", 1) for pair in dialect.split(",") if pair.strip())
    found: dict[str, dict[str, str]] = {}
    for protocol, by_name in choices.items():
        for name, values in by_name.items():
            value = wanted.pop(name, values[0])
            if value not in values:
                problem = f"{name} is {' or '.join(values)}, not {value!r}"
                raise errors.ConfigError(where="`dialect`", problem=problem)
            found.setdefault(protocol, {})[f":{name}"] = value
    if wanted:
        known = sorted(name for by_name in choices.values() for name in by_name)
        problem = f"no protocol has the choice {min(wanted)!r}; known: {', '.join(known) or 'none'}"
        raise errors.ConfigError(where="`dialect`", problem=problem)
    return found
