"""The simulator: the real loop over an in-memory world, seeded and deterministic, with faults at every effect.

    world.py        puts one simulated world together; simulation.py runs a seed: storm, calm, silence
    stage.py        what all parts share: the time, the chance, the story
    server.py       the API server; fields.py server-side apply; kinds.py what it does for one kind only
    controllers.py  what Kubernetes does with Deployments, owners and claims; pods.py what the pods of servers do
    jobs.py         what it does with Jobs; trainers.py what their pods do, fetching.py and code.py what runs in them;
                    queueing.py what a queue does with Jobs
    mlflow.py       what a registry holds
    feed.py         what the operator gets to see of the API server, and when
    lines.py        the operator's way to each of them, on which faults happen; weather.py says which and how often
    users.py        what people do meanwhile; specs.py what they write
    ledger.py       what really became of training, by which the operator is measured
    judge*.py       invariants, checked after every effect; settled*.py what must be true at the end
    story.py        what happened, to be told when something must not have happened
    planted*.py     operators that are broken on purpose: the simulator has to catch each of them

`python -m tests.sim --help` runs many seeds; a failing one prints its story and replays exactly.
"""
