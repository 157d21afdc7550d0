"""Ring 0: what may happen. Read `labels`, `call`, `spec`, `decision`, `decide`, in this order.

Pure and synchronous: the standard library and the rule engine, no clock, no file, no network, no randomness.
"""
