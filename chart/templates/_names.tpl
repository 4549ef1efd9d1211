{{- /* The prefix of all object names. Service names start with a letter and contain no dots; release names may. */}}
{{- define "orders.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $default := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- $full := default $default .Values.fullnameOverride | replace "." "-" -}}
{{- $name := ternary $full (printf "%s-%s" .Chart.Name $full) (regexMatch "^[a-z]" $full) | trimAll "-" -}}
{{- /* Two names that agree in their first characters stay different. */}}
{{- if gt (len $name) 40 }}{{ $name = printf "%s-%s" (trunc 31 $name | trimAll "-") (sha256sum $name | trunc 8) }}{{ end -}}
{{- $name -}}
{{- end }}

{{- /* Selectors are immutable, so nothing here may depend on a value. (root, component) */}}
{{- define "orders.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ quote $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "orders.labels" -}}
{{- $root := index . 0 -}}
{{ include "orders.selectorLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: orders
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* Labels and annotations of an object. (root, component[, dict of own labels and annotations]) */}}
{{- define "orders.metadata" -}}
{{- $values := (index . 0).Values -}}
{{- $own := index (append . dict) 2 -}}
labels:
  {{- include "orders.labels" . | nindent 2 }}
  {{- with include "orders.merged" (list $own.labels $values.commonLabels) | fromJson }}{{ include "orders.entries" . | nindent 2 }}{{ end }}
{{- with include "orders.merged" (list $own.annotations $values.commonAnnotations) | fromJson }}
annotations: {{- include "orders.entries" . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Labels and annotations of a pod. (root, component, own annotations) */}}
{{- define "orders.podMetadata" -}}
{{- $values := (index . 0).Values -}}
{{- $group := get $values (include "orders.podGroup" .) -}}
labels:
  {{- include "orders.labels" . | nindent 2 }}
  {{- with include "orders.merged" (list $group.podLabels $values.podLabels $values.commonLabels) | fromJson }}{{ include "orders.entries" . | nindent 2 }}{{ end }}
{{- with include "orders.merged" (list (index . 2) $group.podAnnotations $values.podAnnotations) | fromJson }}
annotations: {{- include "orders.entries" . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* The group of values with a component's pod values. The migration shares its group with the other short-lived pods. (root, component) */}}
{{- define "orders.podGroup" -}}
{{ ternary "migrations" (index . 1) (has (index . 1) (list "migration" "prune" "test")) }}
{{- end }}

{{- /* The entries of several maps, of which the first one wins, as JSON. A map is null if its key in a values file has no entries. (list of maps) */}}
{{- define "orders.merged" -}}
{{- $merged := dict -}}
{{- range . }}{{ with . }}{{ $merged = merge $merged . }}{{ end }}{{ end -}}
{{ toJson $merged }}
{{- end }}

{{- /* The user's labels or annotations; toYaml would leave keys such as << unquoted. (map) */}}
{{- define "orders.entries" -}}
{{- range $name, $value := . }}
{{ toJson $name }}: {{ toJson $value }}
{{- end }}
{{- end }}

{{- define "orders.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "orders.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- /* The Secret of a login to PostgreSQL: its own, the common one, or one that the chart creates. (root; migrate, write or read) */}}
{{- define "orders.databaseSecret" -}}
{{- $values := (index . 0).Values.postgresql -}}
{{- $own := get (dict "migrate" "" "write" $values.existingWriteSecret "read" $values.existingReadSecret) (index . 1) -}}
{{- $created := printf "%s-postgresql%s" (include "orders.fullname" (index . 0)) (ternary "" (printf "-%s" (index . 1)) (eq (index . 1) "migrate")) -}}
{{ coalesce $own $values.existingSecret $created }}
{{- end }}

{{- define "orders.databaseHost" -}}
{{ ternary (printf "%s-postgresql" (include "orders.fullname" .)) .Values.postgresql.host .Values.postgresql.enabled }}
{{- end }}

{{- define "orders.bootstrapServers" -}}
{{ ternary (printf "%s-kafka:9092" (include "orders.fullname" .)) .Values.kafka.bootstrapServers .Values.kafka.enabled }}
{{- end }}

{{- /* Bootstrap servers for KEDA, which runs in another namespace. */}}
{{- define "orders.scalerServers" -}}
{{- $inChart := printf "%s-kafka.%s.svc:9092" (include "orders.fullname" .) .Release.Namespace -}}
{{ default (ternary $inChart .Values.kafka.bootstrapServers .Values.kafka.enabled) (get (.Values.settings | default dict) "ORDERS_KAFKA__BOOTSTRAP_SERVERS") }}
{{- end }}
