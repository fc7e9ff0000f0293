"""Who else is told what happens in the room: Home Assistant on the LAN, webhooks. None of them carries the alarm path;
each runs by itself, and one that hangs delays nothing else."""
