{{/* Non-empty if the server keeps its database or its artifacts on a volume. */}}
{{- define "serinus.mlflow.usesVolume" -}}
{{- if not (and .Values.mlflow.database.existingSecret .Values.mlflow.s3.uri) }}true{{ end }}
{{- end }}

{{- define "serinus.mlflow.claimName" -}}
{{- default (include "serinus.componentName" (dict "root" . "component" "mlflow")) .Values.mlflow.persistence.existingClaim }}
{{- end }}

{{/*
The Host headers that MLflow accepts. A list of ours replaces its own, which knows no Service names, so what is useful of that is repeated.
An entry with "*" is matched by fnmatch against the whole header, port included; one without must be equal to it.
*/}}
{{- define "serinus.mlflow.allowedHosts" -}}
{{- $name := include "serinus.componentName" (dict "root" . "component" "mlflow") }}
{{- $namespaced := printf "%s.%s" $name .Release.Namespace }}
{{- $service := printf "%s.svc" $namespaced }}
{{- $names := list $name $namespaced $service (printf "%s.%s" $service .Values.clusterDomain) "localhost" "127.0.0.1" }}
{{- $hosts := list }}
{{- range $names }}
{{- $hosts = concat $hosts (list . (printf "%s:*" .)) }}
{{- end }}
{{- /* RFC 1918, shared address space (RFC 6598) where some clouds put pods, IPv6 loopback and unique local addresses. */}}
{{- $hosts = concat $hosts (list "10.*" "172.1[6-9].*" "172.2[0-9].*" "172.3[01].*" "192.168.*") }}
{{- $hosts = concat $hosts (list "100.6[4-9].*" "100.[7-9][0-9].*" "100.1[01][0-9].*" "100.12[0-7].*") }}
{{- $hosts = concat $hosts (list "[[]::1]*" "[[]f[cd]*") }}
{{- join "," (concat $hosts .Values.mlflow.allowedHosts) }}
{{- end }}
