"""Ring 2: mediate. Read `ports`, `question`, `history`, `run`, `mediate`; nobody else calls the kernel, or a tool."""
