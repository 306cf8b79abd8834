"""What runs before training in each of its pods: fetches the code and the data, and checks what they must meet.

It knows nothing of Kubernetes. Its order comes in the environment (`order`), its result goes into a file (`result`).
"""
