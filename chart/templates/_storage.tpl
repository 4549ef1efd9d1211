{{- /* The volume of an in-chart server without a claim. (persistence) */}}
{{- define "orders.dataVolume" -}}
{{- if not .enabled -}}
- name: data
  emptyDir: {}
{{- end }}
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
