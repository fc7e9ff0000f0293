"""Names of the files that an enrolment writes; here, because what uses them need not load what makes certificates."""

AUTHORITY_FILE = "uplink-ca.pem"
IDENTITY_FILE = "uplink-identity.pem"
"""Key, then certificate: one file, so that no moment has a key that does not fit."""
