{{- /* An image reference by digest, or by tag if there is none. (image, default tag) */}}
{{- define "orders.imageReference" -}}
{{- $image := index . 0 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default (index . 1) $image.tag }}
{{- end }}
{{- end }}

{{- define "orders.image" -}}
image: {{ include "orders.imageReference" (list .Values.image .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end }}

{{- /* The common part of every pod spec. (root, component) */}}
{{- define "orders.podSpec" -}}
{{- $root := index . 0 -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
{{- include "orders.securityContext" (append . "podSecurityContext") | nindent 0 }}
{{- include "orders.scheduling" . }}
{{- end }}

{{- define "orders.containerSecurity" -}}
{{- include "orders.securityContext" (append . "containerSecurityContext") }}
{{- end }}

{{- /* The fields of the chart's security context, replaced by the component's. Helm removes defaults that are null, but Helm 3 keeps other
nulls. (root, component, value) */}}
{{- define "orders.securityContext" -}}
{{- $values := (index . 0).Values -}}
{{- $name := index . 2 -}}
{{- $fields := dict -}}
{{- range list (get $values $name) (get (get $values (include "orders.podGroup" .)) $name) }}
{{- range $field, $value := . | default dict }}{{ if not (kindIs "invalid" $value) }}{{ $_ := set $fields $field $value }}{{ end }}{{ end }}
{{- end -}}
securityContext: {{ toJson $fields }}
{{- end }}

{{- /* Where pods run: as their group of values says, or else the chart's. The migration's group defaults to the consumer's. (root, component) */}}
{{- define "orders.scheduling" -}}
{{- $values := (index . 0).Values -}}
{{- $group := include "orders.podGroup" . -}}
{{- $own := get $values $group -}}
{{- $consumer := ternary $values.consumer dict (eq $group "migrations") -}}
{{- range $field := list "nodeSelector" "tolerations" "affinity" "priorityClassName" "topologySpreadConstraints" }}
{{- with coalesce (get $own $field) (get $consumer $field) (get $values $field) }}
{{- if eq $field "topologySpreadConstraints" }}
{{- $selector := dict "labelSelector" (dict "matchLabels" (include "orders.selectorLabels" $ | fromYaml)) }}
topologySpreadConstraints:
  {{- range . }}
  - {{ toJson (merge (deepCopy .) $selector) }}
  {{- end }}
{{- else }}
{{ $field }}: {{ toJson . }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The user's init containers, then one that waits for the schema. (root, mode, login) */}}
{{- define "orders.initContainers" -}}
{{- $root := index . 0 -}}
{{- range $root.Values.initContainers }}
- {{ toJson . }}
{{- end }}
- name: wait-for-migrations
  {{- include "orders.image" $root | nindent 2 }}
  args: [wait-for-migrations]
  {{- include "orders.environment" . | nindent 2 }}
  {{- include "orders.containerSecurity" (list $root (index . 1)) | nindent 2 }}
  resources: {{ toJson $root.Values.migrations.resources }}
  {{- include "orders.volumeMounts" (list $root (index . 2)) | nindent 2 }}
{{- end }}

{{- /* Certificates and passwords to mount, as a list. Files follow their Secret, but variables do not. (root; migrate, write, read or "" for no
login to PostgreSQL) */}}
{{- define "orders.secretFiles" -}}
{{- $values := (index . 0).Values -}}
{{- range $server := list "kafka" "postgresql" }}
{{- $tls := (index $values $server).tls }}
{{- with $tls.caSecret }}
- {name: {{ $server }}-ca, folder: /etc/orders/{{ $server }}, secret: {{ . | quote }}, keys: [{{ $tls.caKey | quote }}]}
{{- end }}
{{- with $tls.clientSecret }}
- {name: {{ $server }}-client, folder: /etc/orders/{{ $server }}-client, secret: {{ . | quote }}, keys: [tls.crt, tls.key]}
{{- end }}
{{- end }}
{{- with $values.kafka.sasl.passwordSecret }}
- {name: kafka-login, folder: /etc/orders/kafka-login, secret: {{ . | quote }}, keys: [{{ $values.kafka.sasl.passwordKey | quote }}]}
{{- end }}
{{- if and (index . 1) (not (include "orders.hasTokenCallback" (index . 0))) }}
- {name: postgresql-login, folder: /etc/orders/postgresql-login, secret: {{ include "orders.databaseSecret" . | quote }}, keys: [{{ $values.postgresql.existingSecretKeys.password | quote }}]}
{{- end }}
{{- end }}

{{- /* (root, login) */}}
{{- define "orders.volumeMounts" -}}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  {{- range include "orders.secretFiles" . | fromYamlArray }}
  - {name: {{ .name }}, mountPath: {{ .folder }}, readOnly: true}
  {{- end }}
  {{- range (index . 0).Values.extraVolumeMounts }}
  - {{ toJson . }}
  {{- end }}
{{- end }}

{{- /* The API keys, mounted as a directory, because a subPath mount is not updated when the Secret changes. */}}
{{- define "orders.keysMount" -}}
- {name: api-keys, mountPath: /etc/orders/auth, readOnly: true}
{{- end }}

{{- define "orders.keysVolume" -}}
- name: api-keys
  secret: {secretName: {{ quote .Values.auth.existingSecret }}, items: [{key: {{ quote .Values.auth.existingSecretKey }}, path: keys}]}
{{- end }}

{{- /* (root, login) */}}
{{- define "orders.volumes" -}}
volumes:
  - name: tmp
    emptyDir: {}
  {{- range include "orders.secretFiles" . | fromYamlArray }}
  - name: {{ .name }}
    secret:
      secretName: {{ quote .secret }}
      # libpq rejects a private key that others can read. Passwords do not depend on the pod's ids.
      defaultMode: {{ ternary "0444" "0440" (hasSuffix "-login" .name) }}
      # Only these keys, because the Secret may also contain the authority's private key.
      items:
        {{- range .keys }}
        - {key: {{ quote . }}, path: {{ quote . }}}
        {{- end }}
  {{- end }}
  {{- range (index . 0).Values.extraVolumes }}
  - {{ toJson . }}
  {{- end }}
{{- end }}
