"""Ring 1: what exists and what may be done with it. The manifest and the rules, checked against each other.

    errors      problems with place and remedy
    document    YAML with line numbers
    manifest    the shape of `interlock.yaml`
    types       JSON Schema of arguments to Cedar types and values
    rules       Cedar rules against the tools; impossible: rules that never apply
    load        files to a `Policy`; policy: what it is

Reading starts at `load`. Only `load` touches files.
"""
