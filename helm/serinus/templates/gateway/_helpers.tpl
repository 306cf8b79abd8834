{{- define "serinus.gateway.className" -}}
{{- default (include "serinus.fullname" .) .Values.gateway.className }}
{{- end }}
