{{/* What the operator may do where it looks after resources: each rule with its reason, and nothing else. */}}
{{- define "serinus.operator.rules" -}}
# Its own kinds are what it is told to do; spec is the users', so it writes none.
- apiGroups: [serinus.dev]
  resources: [modeldeployments, trainingjobs]
  verbs: [get, list, watch]
# Status is its answer.
- apiGroups: [serinus.dev]
  resources: [modeldeployments/status, trainingjobs/status]
  verbs: [patch]
# Children block the deletion of their owner, which clusters with OwnerReferencesPermissionEnforcement (OpenShift) grant
# to those only who may change the owner's finalizers. It sets none.
- apiGroups: [serinus.dev]
  resources: [modeldeployments/finalizers, trainingjobs/finalizers]
  verbs: [update]
# Children: made and repaired by server-side apply (create, patch), removed when they are obsolete.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services, persistentvolumeclaims]
  verbs: [get, list, watch, create, patch, delete]
# How a training run ended, and where a server answers, is known by the pods; Jobs and Deployments make them.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
# Credentials for MLflow that a resource names, read when they are used: never listed, never watched.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
# Transitions, for `kubectl describe`; one that comes again is counted up. And why a Job gets no pod, or a pod no volume,
# which is told nowhere else: listed for one object when it takes too long.
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch, list]
{{- end }}
