"""Where checkpoints stay out of the host's reach: a file elsewhere, a second store, a witness. See `checkpoint`."""
