"""What the interpreter starts after boot.py: the application of the slot that boot.py chose."""

import sys

if sys.path[0] in ("/a", "/b"):
    import firmware_py.main  # noqa: F401
else:
    print("in service: remove /service and reset to start the belt")
