"""Where the receiver keeps what gateways send: one protocol, SQLite by default."""
