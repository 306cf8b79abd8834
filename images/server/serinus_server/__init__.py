"""The model server: one pinned MLflow model version, over MLflow's scoring protocol and the Open Inference Protocol."""

__version__ = "0.1.0"
