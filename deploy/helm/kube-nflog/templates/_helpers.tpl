{{- define "kube-nflog.labels" -}}
app.kubernetes.io/name: kube-nflog
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "kube-nflog.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag }}{{ end }}
{{- end -}}
{{- end }}

{{/* One argument for each flag, or for each of its values if it has several. JSON
writes a large number out. A "$(" is the value's, no variable of Kubernetes. */}}
{{- define "kube-nflog.args" -}}
- run
- --listen=:{{ .Values.port }}
{{- range $flag, $values := .Values.flags }}
{{- range kindIs "slice" $values | ternary $values (list $values) }}
- {{ printf "--%s=%s" $flag (kindIs "string" . | ternary . (toJson .)) | replace "$(" "$$(" | toJson }}
{{- end }}
{{- end }}
{{- end }}

{{/* A file of monitoring/, with this release's namespace, labels and interval. */}}
{{- define "kube-nflog.monitoring" -}}
{{- $object := .root.Files.Get .file | fromYaml }}
{{- $labels := merge (dict) (include "kube-nflog.labels" .root | fromYaml) .root.Values.monitoring.labels }}
{{- $_ := set $object.metadata "namespace" .root.Values.namespace }}
{{- $_ := set $object.metadata "labels" $labels }}
{{- range $object.spec.podMetricsEndpoints }}
{{- $_ := set . "interval" $.root.Values.monitoring.interval }}
{{- end }}
{{- toYaml $object }}
{{- end }}
