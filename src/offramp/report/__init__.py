"""The story of a run as one HTML page: tables, figures and pictures."""

from offramp.report.write import write_report

__all__ = ["write_report"]
