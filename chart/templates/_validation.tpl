{{- /* Rejects contradictory values. Each message is one line with the cause and the fix. */}}
{{- define "orders.validate" -}}
{{- include "orders.validateSecrets" . }}
{{- include "orders.validateServers" . }}
{{- include "orders.validateEncryption" . }}
{{- include "orders.validateWalSize" . }}
{{- include "orders.validateScaling" . }}
{{- include "orders.validateScalerLogin" . }}
{{- include "orders.validateRequirements" . }}
{{- include "orders.validateResources" . }}
{{- include "orders.validateApiMemory" . }}
{{- include "orders.validateSettings" . }}
{{- include "orders.validateNames" . }}
{{- end }}

{{- define "orders.validateServers" -}}
{{- $v := .Values -}}
{{- if and (not $v.kafka.enabled) (not $v.kafka.bootstrapServers) }}
{{- fail "kafka.bootstrapServers is required if kafka.enabled is false" }}
{{- end }}
{{- if and $v.kafka.enabled $v.kafka.bootstrapServers }}
{{- fail "kafka.bootstrapServers and kafka.enabled are mutually exclusive: set kafka.enabled=false to use servers outside the chart" }}
{{- end }}
{{- if and (not $v.postgresql.enabled) (not $v.postgresql.host) }}
{{- fail "postgresql.host is required if postgresql.enabled is false" }}
{{- end }}
{{- if and $v.postgresql.enabled $v.postgresql.host }}
{{- fail "postgresql.host and postgresql.enabled are mutually exclusive: set postgresql.enabled=false to use a server outside the chart" }}
{{- end }}
{{- $ownLogins := and $v.postgresql.existingWriteSecret $v.postgresql.existingReadSecret }}
{{- if and (not $ownLogins) (or $v.postgresql.existingWriteSecret $v.postgresql.existingReadSecret) }}
{{- fail "postgresql.existingWriteSecret and postgresql.existingReadSecret must be set together: consumer and API use either their own logins or the migration's" }}
{{- end }}
{{- $isLoginNeeded := or $v.retention.enabled (not (and $ownLogins (eq $v.migrations.mode "none"))) }}
{{- if and (not $v.postgresql.enabled) (not $v.postgresql.existingSecret) $isLoginNeeded }}
{{- fail "postgresql.existingSecret is required if postgresql.enabled is false: set it to a Secret with the keys of postgresql.existingSecretKeys" }}
{{- end }}
{{- if and (eq $v.migrations.mode "hook") (or $v.kafka.enabled $v.postgresql.enabled) }}
{{- fail "migrations.mode=hook runs before the release's servers exist: set kafka.enabled=false and postgresql.enabled=false, or migrations.mode=job" }}
{{- end }}
{{- end }}

{{- define "orders.validateWalSize" -}}
{{- $v := .Values -}}
{{- $volume := $v.postgresql.persistence }}
{{- if and $v.postgresql.enabled $volume.enabled $v.postgresql.maxWalSize }}
{{- if gt (include "orders.quantity" (list "postgresql.maxWalSize" $v.postgresql.maxWalSize) | float64 | mulf 2) (include "orders.quantity" (list "postgresql.persistence.size" $volume.size) | float64) }}
{{- fail (printf "postgresql.maxWalSize is %s, more than half of postgresql.persistence.size (%s): the WAL could fill the volume" $v.postgresql.maxWalSize $volume.size) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "orders.validateScaling" -}}
{{- $v := .Values -}}
{{- if and $v.consumer.keda.enabled $v.consumer.autoscaling.enabled }}
{{- fail "consumer.keda.enabled and consumer.autoscaling.enabled are mutually exclusive: enable one of them" }}
{{- end }}
{{- range $name, $scaler := dict "api.autoscaling" $v.api.autoscaling "consumer.autoscaling" $v.consumer.autoscaling "consumer.keda" $v.consumer.keda }}
{{- if and $scaler.enabled (gt (int $scaler.minReplicas) (int $scaler.maxReplicas)) }}
{{- fail (printf "%s.minReplicas is greater than %s.maxReplicas" $name $name) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* KEDA logs in to Kafka as kafka.securityProtocol, kafka.sasl and kafka.tls say. It cannot use a login from elsewhere. */}}
{{- define "orders.validateScalerLogin" -}}
{{- $v := .Values -}}
{{- if and $v.consumer.keda.enabled (not $v.consumer.keda.triggerAuthentication) (not $v.kafka.enabled) }}
{{- $callback := "ORDERS_KAFKA__TOKEN_CALLBACK" }}
{{- $hasTokens := or (eq $v.kafka.sasl.mechanism "OAUTHBEARER") (get ($v.settings | default dict) $callback) }}
{{- range $v.extraEnv }}{{ if eq .name $callback }}{{ $hasTokens = true }}{{ end }}{{ end }}
{{- if $hasTokens }}
{{- fail (printf "consumer.keda cannot log in to Kafka with the tokens of %s: set consumer.keda.triggerAuthentication" $callback) }}
{{- end }}
{{- $login := "(?i)^ORDERS_KAFKA__PROPERTIES.*[^a-z](security|sasl|ssl)[.]" }}
{{- $places := list }}
{{- range $name, $value := $v.settings }}
{{- if regexMatch $login (printf "%s %v" $name $value) }}{{ $places = append $places (printf "settings.%s" $name) }}{{ end }}
{{- end }}
{{- range $v.extraEnv }}
{{- $isUnknown := and (eq .name "ORDERS_KAFKA__PROPERTIES") (not .value) }}
{{- if or $isUnknown (regexMatch $login (printf "%s %v" .name .value)) }}{{ $places = append $places (printf "extraEnv (%s)" .name) }}{{ end }}
{{- end }}
{{- $isPartial := and (hasPrefix "SASL" $v.kafka.securityProtocol) (not (and $v.kafka.sasl.mechanism $v.kafka.sasl.username $v.kafka.sasl.passwordSecret)) }}
{{- if and $v.kafka.existingSecret (or (not $v.kafka.securityProtocol) $isPartial) }}{{ $places = append $places "kafka.existingSecret" }}{{ end }}
{{- with $places }}
{{- fail (printf "consumer.keda cannot log in to Kafka with %s: set kafka.securityProtocol, kafka.sasl and kafka.tls (securityProtocol=PLAINTEXT if no login is needed), or consumer.keda.triggerAuthentication" (first .)) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* What a feature needs when it is enabled. */}}
{{- define "orders.validateRequirements" -}}
{{- $v := .Values -}}
{{- if and $v.retention.enabled (not $v.retention.maxAge) }}
{{- fail "retention.maxAge is required if retention.enabled is true" }}
{{- end }}
{{- if and $v.consumer.strategy (eq $v.consumer.kind "StatefulSet") }}
{{- fail "consumer.strategy is for a Deployment: set consumer.updateStrategy if consumer.kind is StatefulSet" }}
{{- end }}
{{- if and $v.consumer.updateStrategy (eq $v.consumer.kind "Deployment") }}
{{- fail "consumer.updateStrategy is for a StatefulSet: set consumer.strategy if consumer.kind is Deployment" }}
{{- end }}
{{- if and $v.api.service.nodePort (eq $v.api.service.type "ClusterIP") }}
{{- fail "api.service.nodePort requires api.service.type NodePort or LoadBalancer" }}
{{- end }}
{{- if and $v.ingress.enabled (not $v.ingress.hosts) }}
{{- fail "ingress.hosts is required if ingress.enabled is true" }}
{{- end }}
{{- if and $v.httpRoute.enabled (not $v.httpRoute.parentRefs) }}
{{- fail "httpRoute.parentRefs is required if httpRoute.enabled is true" }}
{{- end }}
{{- if and $v.metrics.prometheusRule.enabled (not $v.metrics.serviceMonitor.enabled) }}
{{- fail "metrics.prometheusRule.enabled requires metrics.serviceMonitor.enabled: alerts select the release by the job label of its ServiceMonitors" }}
{{- end }}
{{- end }}

{{- define "orders.validateResources" -}}
{{- $v := .Values -}}
{{- range $path, $resources := dict "api" $v.api.resources "consumer" $v.consumer.resources "migrations" $v.migrations.resources "kafka" $v.kafka.resources "postgresql" $v.postgresql.resources }}
{{- range $name, $limit := $resources.limits }}
{{- $request := get ($resources.requests | default dict) $name | default "0" }}
{{- $where := printf "%s.resources.limits.%s" $path $name }}
{{- if gt (include "orders.quantity" (list (printf "%s.resources.requests.%s" $path $name) $request) | float64) (include "orders.quantity" (list $where $limit) | float64) }}
{{- fail (printf "%s is %v, less than the request of %v" $where $limit $request) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "orders.validateApiMemory" -}}
{{- $v := .Values -}}
{{- $limit := include "orders.quantity" (list "api.resources.limits.memory" $v.api.resources.limits.memory) | float64 }}
{{- /* 64Mi of the 200Mi are for slow clients (ORDERS_HTTP__MAX_BUFFERED_BYTES). */}}
{{- $buffered := get ($v.settings | default dict) "ORDERS_HTTP__MAX_BUFFERED_BYTES" | default "64MiB" | toString | nospace | trimSuffix "B" }}
{{- $more := subf (include "orders.quantity" (list "settings.ORDERS_HTTP__MAX_BUFFERED_BYTES" $buffered) | float64) 67108864 }}
{{- $needed := addf (mulf (float64 $v.cache.maxBytes) 1.4) 209715200 (maxf $more 0) }}
{{- if lt $limit $needed }}
{{- fail (printf "api.resources.limits.memory is %v, too small for cache.maxBytes: set at least %.0fMi (cache.maxBytes × 1.4 + 200Mi, plus ORDERS_HTTP__MAX_BUFFERED_BYTES beyond 64MiB)" $v.api.resources.limits.memory (divf $needed 1048576 | ceil)) }}
{{- end }}
{{- end }}

{{- define "orders.validateSettings" -}}
{{- $v := .Values -}}
{{- $fixed := list "ORDERS_MODE" "ORDERS_HTTP__HOST" "ORDERS_HTTP__PORT" "ORDERS_ADMIN__HOST" "ORDERS_ADMIN__PORT" "PGUSER" "PGPASSWORD" "ORDERS_POSTGRES__PASSWORD_FILE" }}
{{- if $v.kafka.existingSecret }}{{ $fixed = append $fixed "ORDERS_KAFKA__PROPERTIES" }}{{ end }}
{{- if $v.kafka.sasl.passwordSecret }}{{ $fixed = append $fixed "ORDERS_KAFKA__PROPERTIES__sasl.password" }}{{ $fixed = append $fixed "ORDERS_KAFKA__PASSWORD_FILE" }}{{ end }}
{{- if eq $v.consumer.kind "StatefulSet" }}{{ $fixed = append $fixed "ORDERS_KAFKA__PROPERTIES__group.instance.id" }}{{ end }}
{{- /* Probes, grace period and memory limit depend on these. */}}
{{- $own := dict "ORDERS_CACHE__MAX_BYTES" "cache.maxBytes" "ORDERS_CACHE__WARM_DEADLINE" "cache.warmDeadline" "ORDERS_HTTP__DRAIN_TIMEOUT" "api.drainSeconds" "ORDERS_AUTH__KEYS_FILE" "auth.existingSecret" }}
{{- range $name, $value := $v.settings }}
{{- if has $name $fixed }}{{ fail (printf "settings: %s is set by the chart" $name) }}{{ end }}
{{- if hasKey $own $name }}{{ fail (printf "settings: set the value %[2]s instead of %[1]s" $name (get $own $name)) }}{{ end }}
{{- if contains "group.instance.id" (printf "%s %v" $name $value | lower) }}{{ fail (printf "settings: %s gives all pods the same group.instance.id, so they fence each other: set consumer.kind=StatefulSet instead" $name) }}{{ end }}
{{- end }}
{{- $settings := include "orders.settings" . | fromYaml }}
{{- if eq $settings.ORDERS_KAFKA__TOPIC $settings.ORDERS_KAFKA__DEAD_LETTER_TOPIC }}
{{- fail (printf "kafka.topic and kafka.deadLetterTopic are both %s: dead letters would be consumed as orders" $settings.ORDERS_KAFKA__TOPIC) }}
{{- end }}
{{- $topics := include "orders.topics" $settings | fromJsonArray }}
{{- if has $settings.ORDERS_KAFKA__DEAD_LETTER_TOPIC $topics }}
{{- fail (printf "kafka.topics.names contains kafka.deadLetterTopic (%s): dead letters would be consumed as orders" $settings.ORDERS_KAFKA__DEAD_LETTER_TOPIC) }}
{{- end }}
{{- if and $v.consumer.keda.enabled (hasPrefix "^" (first $topics)) }}
{{- if eq (int64 $v.consumer.keda.minReplicas) 0 }}{{ fail "consumer.keda.minReplicas must be at least 1 if kafka.topics.names is a pattern: without committed offsets, KEDA finds no topic" }}{{ end }}
{{- if $v.consumer.keda.limitToPartitionsWithLag }}{{ fail "consumer.keda.limitToPartitionsWithLag requires topics: kafka.topics.names must not be a pattern" }}{{ end }}
{{- end }}
{{- range $variable := $v.extraEnv }}
{{- if has $variable.name $fixed }}{{ fail (printf "extraEnv: %s is set by the chart" $variable.name) }}{{ end }}
{{- if hasKey $settings $variable.name }}{{ fail (printf "extraEnv: %s is a setting: move it to settings" $variable.name) }}{{ end }}
{{- end }}
{{- end }}

{{- /* The API server rejects duplicates in lists; a duplicate label could exclude pods from every selector. */}}
{{- define "orders.validateNames" -}}
{{- $v := .Values -}}
{{- $metrics := $v.metrics -}}
{{- $maps := dict "commonLabels" $v.commonLabels "commonAnnotations" $v.commonAnnotations "podLabels" $v.podLabels "podAnnotations" $v.podAnnotations }}
{{- range $group := list "api" "consumer" "migrations" "kafka" "postgresql" }}
{{- range $name := list "podLabels" "podAnnotations" }}{{ $_ := set $maps (printf "%s.%s" $group $name) (get (get $v $group) $name) }}{{ end }}
{{- end }}
{{- range $path, $labels := merge $maps (dict "metrics.serviceMonitor.additionalLabels" $metrics.serviceMonitor.additionalLabels "metrics.prometheusRule.additionalLabels" $metrics.prometheusRule.additionalLabels "metrics.dashboards.additionalLabels" $metrics.dashboards.additionalLabels) }}
{{- range $name, $_ := $labels | default dict }}
{{- if regexMatch "^(app[.]kubernetes[.]io/(name|instance|component|version|part-of|managed-by)|helm[.]sh/chart|grafana_dashboard|checksum/(settings|passwords|scripts)|orders/metrics|helm[.]sh/hook(-[a-z-]+)?)$" $name }}{{ fail (printf "%s: %s is set by the chart" $path $name) }}{{ end }}
{{- end }}
{{- end }}
{{- $reserved := dict "extraEnv" list "extraVolumes" (list "tmp" "api-keys") "extraVolumeMounts" (list "/tmp" "/etc/orders/auth") -}}
{{- range include "orders.secretFiles" (list . "write") | fromYamlArray }}
{{- $_ := set $reserved "extraVolumes" (append $reserved.extraVolumes .name) }}
{{- $_ := set $reserved "extraVolumeMounts" (append $reserved.extraVolumeMounts .folder) }}
{{- end }}
{{- range $list, $names := $reserved }}
{{- range $path, $values := dict $list $v (printf "consumer.%s" $list) $v.consumer }}
{{- range index $values $list }}
{{- $name := ternary .mountPath .name (eq $list "extraVolumeMounts") | toString }}
{{- if has $name $names }}{{ fail (printf "%s: %s is a duplicate or reserved by the chart" $path $name) }}{{ end }}
{{- $names = append $names $name }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Values end up in ConfigMaps, Jobs and pods, which more people can read than Secrets. */}}
{{- define "orders.validateSecrets" -}}
{{- range $name, $value := .Values.settings }}
{{- if include "orders.isSecret" (list $name $value) }}{{ include "orders.rejectSecret" (list (printf "settings: %s" $name) $name) }}{{ end }}
{{- end }}
{{- range .Values.extraEnv }}
{{- if include "orders.isSecret" (list .name (default "" .value)) }}{{ include "orders.rejectSecret" (list (printf "extraEnv: %s" .name) .name) }}{{ end }}
{{- end }}
{{- range $name, $value := omit .Values "global" "settings" "extraEnv" }}{{ include "orders.findSecrets" (list $name $value) }}{{ end }}
{{- end }}

{{- /* Rejects any nested text that contains a secret. Annotations belong to other programs, so only URLs and private keys are rejected there. (path, value) */}}
{{- define "orders.findSecrets" -}}
{{- $path := index . 0 -}}
{{- $value := index . 1 -}}
{{- if kindIs "map" $value }}
{{- range $name, $each := $value }}{{ include "orders.findSecrets" (list (printf "%s.%s" $path $name) $each) }}{{ end }}
{{- else if kindIs "slice" $value }}
{{- range $index, $each := $value }}{{ include "orders.findSecrets" (list (printf "%s[%d]" $path $index) $each) }}{{ end }}
{{- else if kindIs "string" $value }}
{{- $literal := include "orders.literal" $value }}
{{- $assigned := and (not (regexMatch "nnotations[.]" $path)) (include "orders.assignsSecret" $literal) }}
{{- if or $assigned (include "orders.showsSecret" $literal) }}{{ include "orders.rejectSecret" (list $path $path) }}{{ end }}
{{- end }}
{{- end }}

{{- /* Not empty if a variable has the name of a secret, or its value contains one. (name, value) */}}
{{- define "orders.isSecret" -}}
{{- $text := toString (index . 1) -}}
{{- $literal := include "orders.literal" $text -}}
{{- if and $text (eq $text $literal) (include "orders.isSecretName" (index . 0)) }}true{{ end }}
{{- include "orders.showsSecret" $literal }}{{ include "orders.assignsSecret" $literal }}
{{- end }}

{{- /* Not empty for names whose values `orders doctor` redacts. Same patterns as in service/config/redaction.py. (name) */}}
{{- define "orders.isSecretName" -}}
{{- $isSecret := regexMatch `(?i)password|passphrase|secret|token|jaas|key[._]pem|credentials|keystore|api[._]key|oauthbearer[._]config|otlp.*headers` . -}}
{{- if and $isSecret (not (regexMatch `(?i)[._](location|file|url|dir|callback|client[._]id)$` .)) }}true{{ end }}
{{- end }}

{{- /* Replaces each $(VARIABLE), ${VARIABLE} and {{ expression }} by a quotation mark, because references are not secrets. */}}
{{- define "orders.literal" -}}
{{- regexReplaceAll `[$][(][^)]*[)]|[$][{][^}]*[}]|[{][{][^}]*[}][}]` . `"` -}}
{{- end }}

{{- /* Not empty for a URL with a password, or a private key. (text) */}}
{{- define "orders.showsSecret" -}}
{{- if regexMatch `://[^\s/:@]*:([^\s/@"]+|[0-9]*[^\s0-9/@"][^\s@"]*)@|-----BEGIN [A-Z ]*PRIVATE KEY` . }}true{{ end }}
{{- end }}

{{- /* Not empty if the name of a secret is followed by a value, as in a connection string, JSON or Java options. (text) */}}
{{- define "orders.assignsSecret" -}}
{{- range regexFindAll `[\w.-]+(["']\s*:|["']?\s*=)\s*["']?[^\s"'&,;}]` . -1 }}
{{- include "orders.isSecretName" (regexFind `^[\w.-]+` .) }}
{{- end }}
{{- end }}

{{- /* Fails and names the value to use instead. (location, variable's name or value's path) */}}
{{- define "orders.rejectSecret" -}}
{{- $name := upper (index . 1) -}}
{{- $place := "extraEnv, with valueFrom.secretKeyRef" -}}
{{- if contains "SASL.PASSWORD" $name }}{{ $place = "kafka.sasl.passwordSecret" }}
{{- else if contains "KAFKA" $name }}{{ $place = "kafka.existingSecret" }}
{{- else if or (contains "POSTGRES" $name) (hasPrefix "PG" $name) }}{{ $place = "postgresql.existingSecret, or existingWriteSecret and existingReadSecret with it" }}
{{- else if contains "AUTH" $name }}{{ $place = "auth.existingSecret" }}
{{- end }}
{{- fail (printf "%s contains a secret, which would be rendered in plain text: store it in a Secret and reference that in %s" (index . 0) $place) }}
{{- end }}

{{- define "orders.validateEncryption" -}}
{{- $kafka := .Values.kafka -}}
{{- $sasl := $kafka.sasl -}}
{{- $postgresql := .Values.postgresql -}}
{{- $hasCertificates := or $kafka.tls.caSecret $kafka.tls.clientSecret -}}
{{- $hasUser := or $sasl.mechanism $sasl.username $sasl.passwordSecret -}}
{{- /* The content of kafka.existingSecret is unknown here. */}}
{{- $isElsewhere := and $kafka.existingSecret (not $kafka.securityProtocol) -}}
{{- if and $kafka.enabled (or $kafka.securityProtocol $hasUser $hasCertificates) }}
{{- fail "kafka.securityProtocol, kafka.sasl and kafka.tls require brokers outside the chart, because the in-chart broker has neither TLS nor SASL: set kafka.enabled=false" }}
{{- end }}
{{- if and $hasCertificates (not $isElsewhere) (not (hasSuffix "SSL" $kafka.securityProtocol)) }}
{{- fail "kafka.tls has no effect without TLS: set kafka.securityProtocol to SSL or SASL_SSL" }}
{{- end }}
{{- if and $hasUser (not $isElsewhere) (not (hasPrefix "SASL" $kafka.securityProtocol)) }}
{{- fail "kafka.sasl has no effect without SASL: set kafka.securityProtocol to SASL_SSL" }}
{{- end }}
{{- $hasToken := and (eq $sasl.mechanism "OAUTHBEARER") (get (.Values.settings | default dict) "ORDERS_KAFKA__TOKEN_CALLBACK") }}
{{- if and (hasPrefix "SASL" $kafka.securityProtocol) (not $kafka.existingSecret) (not $hasToken) (not (and $sasl.mechanism $sasl.username $sasl.passwordSecret)) }}
{{- fail (printf "kafka.sasl.mechanism, kafka.sasl.username and kafka.sasl.passwordSecret are required if kafka.securityProtocol is %s, unless kafka.existingSecret sets them, or kafka.sasl.mechanism is OAUTHBEARER with settings.ORDERS_KAFKA__TOKEN_CALLBACK" $kafka.securityProtocol) }}
{{- end }}
{{- $isVerified := hasPrefix "verify" $postgresql.tls.mode -}}
{{- if and $postgresql.enabled (or $isVerified (eq $postgresql.tls.mode "require") $postgresql.tls.caSecret $postgresql.tls.clientSecret) }}
{{- fail "postgresql.tls requires a server outside the chart, because the in-chart server has no TLS: set postgresql.enabled=false" }}
{{- end }}
{{- $isNamed := hasKey (.Values.settings | default dict) "PGSSLROOTCERT" -}}
{{- range .Values.extraEnv }}{{ if eq .name "PGSSLROOTCERT" }}{{ $isNamed = true }}{{ end }}{{ end -}}
{{- if and $isVerified (not $postgresql.tls.caSecret) (not $isNamed) }}
{{- fail (printf "postgresql.tls.caSecret is required if postgresql.tls.mode is %s, or settings.PGSSLROOTCERT, such as the image's /etc/ssl/certs/ca-certificates.crt" $postgresql.tls.mode) }}
{{- end }}
{{- end }}

{{- /* The numeric value of a quantity such as 512Mi or 100m. (location, quantity) */}}
{{- define "orders.quantity" -}}
{{- $units := dict "m" 0.001 "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 "Ei" 1152921504606846976 -}}
{{- $quantity := toString (index . 1) -}}
{{- $unit := regexFind "([KMGTPE]i|[mkMGTPE])$" $quantity -}}
{{- if not (regexMatch "^[0-9.]+(e[+-]?[0-9]+)?$" (trimSuffix $unit $quantity)) }}{{ fail (printf "%s: %s is not a quantity such as 640Mi (memory) or 100m (CPU)" (index . 0) $quantity) }}{{ end -}}
{{- mulf (trimSuffix $unit $quantity | float64) (get $units $unit) -}}
{{- end }}
