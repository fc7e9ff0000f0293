"""The leave-bed alarm of LEAVE_BED.md: pure, deterministic; facts and a `Now` in, effects and the next deadline out."""

from gateway.cores.leave_bed.clock import Now
from gateway.cores.leave_bed.view import BedView
from gateway.cores.leave_bed.ward import Ward

__all__ = ["BedView", "Now", "Ward"]
