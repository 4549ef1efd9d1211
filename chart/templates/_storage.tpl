{{- /* The volume of an in-chart server without a claim. (persistence) */}}
{{- define "orders.dataVolume" -}}
{{- if not .enabled -}}
- name: data
  emptyDir: {}
{{- end }}
{{- end }}

{{- /* PostgreSQL's max_wal_size in MB. WAL must not fill the volume, so the default depends on its size. (root) */}}
{{- define "orders.maxWalSize" -}}
{{- $claim := .Values.postgresql.persistence -}}
{{- $bytes := 1073741824.0 -}}
{{- if .Values.postgresql.maxWalSize -}}
{{- $bytes = include "orders.quantity" (list "postgresql.maxWalSize" .Values.postgresql.maxWalSize) | float64 -}}
{{- else if $claim.enabled -}}
{{- $bytes = minf 10737418240.0 (divf (include "orders.quantity" (list "postgresql.persistence.size" $claim.size) | float64) 4) -}}
{{- end -}}
{{- /* PostgreSQL's minimum is 32 MB. */}}
{{- max 32 (divf $bytes 1048576 | floor | int) -}}
{{- end }}

{{- /* Its claim, with constant labels only, because a StatefulSet's claim templates are immutable. (root, component) */}}
{{- define "orders.claim" -}}
{{- $root := index . 0 -}}
{{- $persistence := (index $root.Values (index . 1)).persistence -}}
{{- if $persistence.enabled -}}
volumeClaimTemplates:
  - metadata:
      name: data
      labels: {{- include "orders.selectorLabels" . | nindent 8 }}
    spec:
      accessModes: [ReadWriteOnce]
      {{- with $persistence.storageClass }}
      storageClassName: {{ quote . }}
      {{- end }}
      resources:
        requests: {storage: {{ quote $persistence.size }}}
{{- end }}
{{- end }}
