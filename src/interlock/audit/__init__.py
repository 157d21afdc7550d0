"""What happened, in a chain that cannot be changed unseen. Read `record`, then `chain`. Pure: stores keep records."""
