"""The API server: how we log in, what we ask, and what its refusals mean."""
