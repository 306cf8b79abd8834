"""The local Kubernetes: a real one-node cluster of real parts, started and removed by one command."""
