"""`offramp models`: the zoo."""

from typing import Any

from offramp.cli.console import Json, say, table, verb

SIZE, CLASSES = "512x512", 21


@verb
def models(json: Json = False) -> dict[str, Any]:
    """List the networks that can be built by name."""
    import torch

    from offramp.models.count import count_parameters
    from offramp.models.weights import at_hand
    from offramp.models.zoo import ZOO, build

    listed: list[dict[str, Any]] = []
    for name, entry in ZOO.items():
        with torch.device("meta"):
            parameters = count_parameters(build(name, CLASSES))
        listed.append(
            {
                "name": name,
                "parameters": parameters,
                "cut_points": [point._asdict() for point in entry.points],
                "exits": list(entry.exits),
                "knobs": dict(entry.knobs),
                "weights": at_hand(name),
                "source": entry.source,
            }
        )
    rows = [
        [
            model["name"],
            f"{model['parameters']:,}",
            ", ".join(model["weights"]) or "-",
            " ".join(f"{k}={v}" for k, v in model["knobs"].items()) or "-",
        ]
        for model in listed
    ]
    say(table(["model", f"parameters ({CLASSES} classes)", "weights at hand", "knobs"], rows), json)
    say("", json)
    points = [
        [
            f"{model['name']} {point['name']}",
            str(point["channels"]),
            f"1/{point['stride']}",
            f"{100 * point['share']:.0f} %",
            "exit" if point["name"] in model["exits"] else "",
        ]
        for model in listed
        for point in model["cut_points"]
    ]
    say(table(["cut point", "channels", "stride", "work so far", "by default"], points), json)
    say(f"work shares at {SIZE} and {CLASSES} classes; lenet at 28x28 and 10", json)
    say("also: timm:NAME, any model of timm with features_only; path/to/file.py:factory", json)
    return {"models": listed}
