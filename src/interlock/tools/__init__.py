"""Ring 3: tools whose limits the kernel and the engines enforce. Each kind is a package: spec, scope, perform."""
