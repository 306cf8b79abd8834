"""Read digits with a small network, on the GPU that the pod was given: plain PyTorch, which goes on after a lost node."""

import os
from pathlib import Path

import mlflow
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

CHECKPOINT = Path("/checkpoints/state.pt")
EPOCHS, LEARNING_RATE = int(os.environ["PARAM_EPOCHS"]), float(os.environ["PARAM_LEARNING_RATE"])
# No GPU is an error here: training on the processor would only look as if all were well.
DEVICE = torch.device("cuda")

features, labels = load_digits(return_X_y=True)
parts = train_test_split((features / 16).astype("float32"), labels, stratify=labels, random_state=7)
train_x, test_x, train_y, test_y = (torch.from_numpy(part).to(DEVICE) for part in parts)

torch.manual_seed(7)
model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)).to(DEVICE)
optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
done = 0
if CHECKPOINT.exists():
    state = torch.load(CHECKPOINT, map_location=DEVICE)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    done = state["epoch"]
print(f"{torch.cuda.get_device_name(DEVICE)}: begins after epoch {done}")

with mlflow.start_run():
    for epoch in range(done + 1, EPOCHS + 1):
        for rows in torch.randperm(len(train_x), device=DEVICE).split(64):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(train_x[rows]), train_y[rows])
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            accuracy = (model(test_x).argmax(dim=1) == test_y).float().mean().item()
        mlflow.log_metrics({"val_accuracy": accuracy, "progress": epoch / EPOCHS}, step=epoch)
        half = CHECKPOINT.with_suffix(".half")
        torch.save({"epoch": epoch, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, half)
        half.rename(CHECKPOINT)
    mlflow.pytorch.log_model(model.cpu(), name="model", input_example=test_x[:3].cpu().numpy())
