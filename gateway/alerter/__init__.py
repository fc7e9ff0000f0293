"""Local alerting. Nothing is imported here, because the relay's process, which must stay small, is in this package."""
