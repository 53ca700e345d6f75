"""Promises about the loss, with proofs: arithmetic on losses, no network in sight."""

from offramp.core.certificate import Certificate, MeanControl
from offramp.guarantees.certify import certify
from offramp.guarantees.conformal import control_mean
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
