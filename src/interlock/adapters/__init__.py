"""Between other people's code and ours: functions become tools, SDK messages become proposals, answers become messages.

Pure and cooperative: nothing here imports an SDK, talks to a network or decides anything. Whoever calls a function past
the monitor is not stopped here; `docs/limitations.md` says what is enforced where.
"""
