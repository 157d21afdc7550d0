"""AgentDojo with a completely hijacked agent: our manifests, and Interlock as a monitor for the instrument."""
