{{- /* All settings that are not secrets, as a map. */}}
{{- define "orders.settings" -}}
{{- /* Each of several hosts needs the port: libpq takes 5432 for a host without one. */}}
{{- $servers := include "orders.databaseHost" . | replace "," (printf ":%v," .Values.postgresql.port) -}}
{{- $database := printf "postgresql://%s:%v/%s" $servers .Values.postgresql.port (urlquery .Values.postgresql.database | replace "+" "%20") -}}
{{- $settings := dict
  "ORDERS_KAFKA__BOOTSTRAP_SERVERS" (include "orders.bootstrapServers" .)
  "ORDERS_KAFKA__TOPIC" .Values.kafka.topic
  "ORDERS_KAFKA__GROUP_ID" .Values.kafka.groupId
  "ORDERS_KAFKA__DEAD_LETTER_TOPIC" .Values.kafka.deadLetterTopic
  "ORDERS_KAFKA__CREATE_TOPICS" (toString .Values.kafka.topics.create)
  "ORDERS_KAFKA__PARTITIONS" (include "orders.number" .Values.kafka.topics.partitions)
  "ORDERS_KAFKA__REPLICATION_FACTOR" (include "orders.number" .Values.kafka.topics.replicationFactor)
  "ORDERS_POSTGRES__DSN" $database
  "ORDERS_CACHE__MAX_ENTRIES" (include "orders.number" .Values.cache.maxEntries)
  "ORDERS_CACHE__MAX_BYTES" (include "orders.number" .Values.cache.maxBytes)
  "ORDERS_CACHE__WARM_UP_SIZE" (include "orders.number" .Values.cache.warmUpSize)
  "ORDERS_CACHE__WARM_DEADLINE" (include "orders.number" .Values.cache.warmDeadline)
  "ORDERS_HTTP__DRAIN_TIMEOUT" (include "orders.number" .Values.api.drainSeconds)
  "ORDERS_MIGRATION__TIMEOUT" (include "orders.number" .Values.migrations.timeout)
-}}
{{- /* The page marks the values that fire the alerts. */}}
{{- with .Values.metrics.prometheusRule.lagGrows }}{{ $_ := set $settings "ORDERS_PAGE__MAX_LAG" (include "orders.number" .messages) }}{{ end -}}
{{- with .Values.metrics.prometheusRule.poolSaturated }}{{ $_ := set $settings "ORDERS_PAGE__MAX_WAITING_READS" (include "orders.number" .waiting) }}{{ end -}}
{{- with .Values.metrics.prometheusRule.runbookUrl }}{{ $_ := set $settings "ORDERS_PAGE__RUNBOOKS_URL" . }}{{ end -}}
{{- with .Values.page.metricsUrl }}{{ $_ := set $settings "ORDERS_PAGE__METRICS_URL" . }}{{ end -}}
{{- with .Values.page.grafanaUrl }}{{ $_ := set $settings "ORDERS_PAGE__GRAFANA_URL" . }}{{ end -}}
{{- with .Values.page.kafkaUiUrl }}{{ $_ := set $settings "ORDERS_PAGE__KAFKA_UI_URL" . }}{{ end -}}
{{- /* A pod must restart within the session timeout to keep its partitions. */}}
{{- if eq .Values.consumer.kind "StatefulSet" }}{{ $_ := set $settings "ORDERS_KAFKA__SESSION_TIMEOUT" "60" }}{{ end -}}
{{- with .Values.kafka.topics.names }}{{ $_ := set $settings "ORDERS_KAFKA__TOPICS" (join "," .) }}{{ end -}}
{{- if .Values.retention.maxAge }}{{ $_ := set $settings "ORDERS_RETENTION__MAX_AGE" .Values.retention.maxAge }}{{ end -}}
{{- if .Values.postgresql.tls.mode }}{{ $_ := set $settings "PGSSLMODE" .Values.postgresql.tls.mode }}{{ end -}}
{{- if .Values.postgresql.tls.caSecret }}{{ $_ := set $settings "PGSSLROOTCERT" (printf "/etc/orders/postgresql/%s" .Values.postgresql.tls.caKey) }}{{ end -}}
{{- if .Values.postgresql.tls.clientSecret -}}
{{- $_ := set $settings "PGSSLCERT" "/etc/orders/postgresql-client/tls.crt" -}}
{{- $_ := set $settings "PGSSLKEY" "/etc/orders/postgresql-client/tls.key" -}}
{{- end -}}
{{- range $property, $value := include "orders.kafkaProperties" . | fromYaml }}{{ $_ := set $settings (printf "ORDERS_KAFKA__PROPERTIES__%s" $property) $value }}{{ end -}}
{{- range $name, $value := .Values.settings }}
{{- $_ := set $settings $name (ternary (include "orders.number" $value) (toString $value) (kindIs "float64" $value)) }}
{{- end }}
{{- toYaml $settings }}
{{- end }}

{{- /* The topics that the consumers read, as a list; or one pattern. (settings) */}}
{{- define "orders.topics" -}}
{{- $topics := get . "ORDERS_KAFKA__TOPICS" | default .ORDERS_KAFKA__TOPIC | trim -}}
{{- if hasPrefix "^" $topics }}{{ list $topics | toJson }}{{ else }}{{ splitList "," ($topics | nospace) | toJson }}{{ end -}}
{{- end }}

{{- /* librdkafka properties that are not secrets, as a map. Each becomes a variable, in addition to kafka.existingSecret. */}}
{{- define "orders.kafkaProperties" -}}
{{- with .Values.kafka.securityProtocol }}
security.protocol: {{ quote . }}
{{- end }}
{{- with .Values.kafka.sasl.mechanism }}
sasl.mechanism: {{ quote . }}
{{- end }}
{{- with .Values.kafka.sasl.username }}
sasl.username: {{ . | quote }}
{{- end }}
{{- if .Values.kafka.tls.caSecret }}
ssl.ca.location: {{ printf "/etc/orders/kafka/%s" .Values.kafka.tls.caKey | quote }}
{{- end }}
{{- if .Values.kafka.tls.clientSecret }}
ssl.certificate.location: /etc/orders/kafka-client/tls.crt
ssl.key.location: /etc/orders/kafka-client/tls.key
{{- end }}
{{- end }}

{{- /* A number as written in the values: Helm parses it as a float, which prints as 2.68435456e+08. */}}
{{- define "orders.number" -}}
{{- if and (kindIs "float64" .) (ne (floor .) .) -}}{{ . }}{{- else -}}{{ int64 . }}{{- end -}}
{{- end }}

{{- /* Variables from Secrets, or that name their files, except the login to PostgreSQL. */}}
{{- define "orders.secretEnv" -}}
{{- with .Values.kafka.existingSecret }}
- name: ORDERS_KAFKA__PROPERTIES
  valueFrom: {secretKeyRef: {name: {{ quote . }}, key: {{ quote $.Values.kafka.existingSecretKey }}}}
{{- end }}
{{- if .Values.kafka.sasl.passwordSecret }}
- {name: ORDERS_KAFKA__PASSWORD_FILE, value: {{ printf "/etc/orders/kafka-login/%s" .Values.kafka.sasl.passwordKey | quote }}}
{{- end }}
{{- range .Values.extraEnv }}
- {{ toJson . }}
{{- end }}
{{- end }}

{{- /* The environment of a container of Orders. (root, mode; write, read or "" for no login to PostgreSQL) */}}
{{- define "orders.environment" -}}
{{- $root := index . 0 -}}
# The last source of a variable wins.
envFrom:
  {{- range $root.Values.envFrom }}
  - {{ toJson . }}
  {{- end }}
  - configMapRef: {name: {{ include "orders.fullname" $root | quote }}}
env:
  - {name: ORDERS_MODE, value: {{ index . 1 }}}
  {{- if and (eq (index . 1) "api") $root.Values.auth.existingSecret }}
  - {name: ORDERS_AUTH__KEYS_FILE, value: /etc/orders/auth/keys}
  {{- end }}
  {{- with index . 2 }}
  {{- include "orders.login" (list $root .) | nindent 2 }}
  {{- end }}
  {{- include "orders.secretEnv" $root | nindent 2 }}
{{- end }}

{{- /* Annotations that restart the pods when anything that they read at startup changes. */}}
{{- define "orders.checksums" -}}
checksum/settings: {{ include "orders.settings" . | sha256sum | quote }}
{{ include "orders.passwordsChecksum" . }}
{{- end }}

{{- /* Checksum of all passwords that the chart generates. */}}
{{- define "orders.passwordsChecksum" -}}
{{- with include "orders.databaseSecrets" . | fromYaml }}checksum/passwords: {{ toYaml . | sha256sum | quote }}{{ end }}
{{- end }}
