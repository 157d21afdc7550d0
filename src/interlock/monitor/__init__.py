"""Ring 2: mediate. Read `ports`, `question`, `run`, `mediate`; nobody else calls `kernel.decide`, or a tool."""
