"""What happened, in a chain that cannot be changed unseen. Pure: stores keep records, anchors keep checkpoints.

Read `record` (an entry and its digest), `commitment` (what can be erased), `chain` (link, walk), `tree` (RFC 6962),
`checkpoint` (signed heads), `verify` (all of it, offline), `export`.
"""
