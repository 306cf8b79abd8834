"""The Open Inference Protocol, version 2, as Triton, MLServer and KServe speak it: over REST and over gRPC.

Both ways read a request into `tensors`, `inputs` makes of them what the model takes, and `outputs` makes tensors of
what it says.
"""
