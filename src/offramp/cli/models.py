"""`offramp models`: the zoo."""

from typing import Any

from offramp.cli.console import Json, say, table, verb


@verb
def models(json: Json = False) -> dict[str, Any]:
    """List the networks that can be built by name."""
    from offramp.models.count import count_parameters
    from offramp.models.zoo import ZOO, build

    listed: list[dict[str, Any]] = [
        {
            "name": name,
            "parameters": count_parameters(build(name, 21)),
            "cut_points": list(entry.points),
            "exits": list(entry.exits),
            "knobs": dict(entry.knobs),
            "weights": [],
            "source": entry.source,
        }
        for name, entry in ZOO.items()
    ]
    rows = [[str(m["name"]), f"{m['parameters']:,}", " ".join(m["cut_points"])] for m in listed]
    say(table(["model", "parameters (21 classes)", "cut points"], rows), json)
    for model in listed:
        knobs = ", ".join(f"{k}={v}" for k, v in model["knobs"].items())
        say(f"{model['name']}: knobs {knobs}; exits by default after {model['exits']}", json)
    return {"models": listed}
