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

{{/* One argument for each flag, or for each value of a list. toJson prints a large
number in full, without an exponent. "$(" is escaped, because Kubernetes would
expand it as a variable. */}}
{{- define "kube-nflog.args" -}}
- run
- --listen=:{{ .Values.port }}
{{- range $flag, $values := .Values.flags }}
{{- range kindIs "slice" $values | ternary $values (list $values) }}
- {{ printf "--%s=%s" $flag (kindIs "string" . | ternary . (toJson .)) | replace "$(" "$$(" | toJson }}
{{- end }}
{{- end }}
{{- end }}

{{/* A file of monitoring/ with this release's namespace, labels and interval. */}}
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
