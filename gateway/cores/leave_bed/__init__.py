"""The leave-bed alarm of LEAVE_BED.md: pure, deterministic; facts and a `Now` in, effects and the next deadline out.

One moment is judged in this order: modes that have run out; confirmations, settling and arming in the order of time
(rules 1 to 5); window end, alarm, pre-alert (7, 9); re-alarm, escalation (11, 10); the bed's silence (16); over all
beds `radio_down`; then the notices. Facts act when they are applied: acknowledgements, modes, settings, what a gap hid.

Where the text leaves room, this is how it is read:

- 3, 5: settling and an exit confirmed in the same second: the bed has settled (presence lasts until the confirmation).
- 9: the touch is measured by the last word of the belt, also when it has fallen silent. It holds back the raising of an
  alarm and the pre-alert, not a re-alarm, for which rule 11 asks absence alone.
- 11, 5: a re-alarm that falls due while the episode is held comes when the resident leaves again.
- 13: a live alarm is an unacknowledged one; a latched one waits for its own answer.
- 14: switched on again, maintenance runs its full time again. Its end does not restart reposition and no_signal, which
  count from the start of presence.
- 16: see `gap`. A report of any kind means heard; readings of vital signs alone do not.
- 17: a deadline at the very second of boot was not missed while down. A re-alarm does not wait for the belt.
- 17, 18: minutes of not_in_bed_by and not_up_by that passed while the gateway was down, before they were set, were
  stepped over, or are not known for lack of trusted time, never came.
- 18: every boot without trusted time logs `time_untrusted`.
- 20: switching the rule off clears whatever alarm there is, and unbinding too; that a latched one "counts as none" is
  about whether an episode has an alarm. Windows that are sent again are new windows, judged by the time as it is now.
- 22: a bed that becomes occupied shows valid rates unless the report denies it; validity stands until denied.
- repeated_exits: an exit counts if it lies inside a window itself; the carry-in is no window.
- vital notices: see `vital_notices`.
"""

from gateway.cores.leave_bed.clock import Now
from gateway.cores.leave_bed.view import BedView
from gateway.cores.leave_bed.ward import Ward

__all__ = ["BedView", "Now", "Ward"]
