"""What the gateway costs, beside LiteLLM's proxy and beside no gateway, in one run."""
