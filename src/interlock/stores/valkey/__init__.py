"""Valkey (or Redis): rates that several gateways share. Not for budgets: it may forget."""
