"""What `openat2`, the walk and a check of the path's text cost, and which of them loses a race."""
