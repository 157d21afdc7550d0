"""The gateway: any agent, in any language, with the same monitor, by changing its base URL. `serving` starts one."""

from interlock.gateway.serve import Serving, serving

__all__ = ["Serving", "serving"]
