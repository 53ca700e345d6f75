"""From a trained network and a plan to a bundle."""

from offramp.export.bundle import export

__all__ = ["export"]
