"""Web requests to declared hosts, dialled only at addresses that were checked."""
