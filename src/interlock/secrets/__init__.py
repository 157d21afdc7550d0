"""Ring 3: secrets are named, never carried. Model and manifest see `secret://NAME`; only `perform` sees a value (M7).

Read `handles`, `sources`, `vault`; then `matcher` (what comes back), `inject` and `environment` (what goes out), `scan`
(what was written down).
"""
