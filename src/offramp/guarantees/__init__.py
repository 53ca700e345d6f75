"""Promises about the loss, with proofs: arithmetic on losses, no network in sight."""

from offramp.guarantees.certify import Certificate, certify
from offramp.guarantees.conformal import MeanControl, control_mean
from offramp.guarantees.division import divide
from offramp.guarantees.losses import miou_losses
from offramp.guarantees.sequence import pareto_order

__all__ = [
    "Certificate",
    "MeanControl",
    "certify",
    "control_mean",
    "divide",
    "miou_losses",
    "pareto_order",
]
