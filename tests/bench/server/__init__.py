"""The model server beside others: `make bench-server`."""
