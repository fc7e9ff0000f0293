"""Started by boot.py from the chosen slot (or by the interpreter itself on a host)."""

from firmware_py.belt.app import run

run()
