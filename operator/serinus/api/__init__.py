"""What users see: TrainingJob and ModelDeployment, group serinus.dev, version v1alpha1.

The models in this package are the one source of the API. The resource definitions in `crds/` and the reference in
`docs/reference/` are generated from them (`generate.py`), and `parse` turns an object of the API server into a model,
or into an `Invalid` that says which field is wrong. Everything here is pure.

**Where defaults live.** Only in the models. The schemas default nothing in `spec`, for four reasons:

- the hash of a revision is over what the user wrote. The API server stores the defaults of its schema in the object,
  and afterwards nobody can tell them from what the user wrote, so a new default would start runs and rollouts;
- defaults inside lists (steps, gates, inputs) make a GitOps tool see a difference for ever;
- a field that excludes another (`replicas` and `autoscaling`) must be absent unless it was written;
- what the operator configures (images, addresses) is resolved for each revision and recorded in status.

A default is part of the API: it does not change within a version. Where a default is left to the operator's settings,
the model says "" or None, and the field's description says what that means. `wire()` leaves out what equals the
default, so writing a default down is the same as not writing it. The one default in a schema is
`status: {observedGeneration: -1}`, without which kstatus takes a new object for a settled one.

**Who checks what.** Every bound, pattern and rule is checked twice: by the API server, from the generated schema, and
by `parse`, because the installed definition may be older than the operator. What the API server cannot look into
(`parameters`, and what `command` and `args` say of them) is checked by `parse` alone.

**Status is never in the way.** Texts and lists are clipped to their bounds, and a status that cannot be read counts as
lost, which the operator repairs.
"""
