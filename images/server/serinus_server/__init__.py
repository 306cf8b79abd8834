"""The model server: one pinned MLflow model version, over MLflow's scoring protocol and the Open Inference Protocol."""
