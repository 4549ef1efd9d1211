{{- /* Secrets that the chart creates, by name. Passwords of existing Secrets are kept. New ones are derived from the seed. It is random only
if Helm is connected to a cluster, whose API versions include kinds: otherwise, each rendering would have new passwords. It is kept in the
values, so that all templates get the same one. */}}
{{- define "orders.databaseSecrets" -}}
{{- $postgresql := .Values.postgresql -}}
{{- if and (not $postgresql.passwordSeed) (.Capabilities.APIVersions.Has "v1/Secret") }}
{{- $_ := set $postgresql "passwordSeed" (randAlphaNum 32) }}
{{- end }}
{{- $keys := $postgresql.existingSecretKeys -}}
{{- range $login, $user := dict "migrate" "orders" "write" "orders_write" "read" "orders_read" }}
{{- $name := include "orders.databaseSecret" (list $ $login) }}
{{- if and $postgresql.enabled (not (has $name (list $postgresql.existingSecret $postgresql.existingWriteSecret $postgresql.existingReadSecret))) }}
{{- $existing := (lookup "v1" "Secret" $.Release.Namespace $name | default dict).data | default dict }}
{{- $derived := list $postgresql.passwordSeed $.Release.Namespace $.Release.Name $login | toJson | sha256sum | trunc 32 }}
{{ quote $name }}: {{ dict $keys.username (b64enc $user) $keys.password (get $existing $keys.password | default (b64enc $derived)) | toJson }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Not empty if consumer and API have their own logins. */}}
{{- define "orders.hasThreeLogins" -}}
{{- if ne (include "orders.databaseSecret" (list . "migrate")) (include "orders.databaseSecret" (list . "write")) }}true{{ end }}
{{- end }}

{{- /* Not empty if a function returns the passwords of PostgreSQL. */}}
{{- define "orders.hasTokenCallback" -}}
{{- if get (.Values.settings | default dict) "ORDERS_POSTGRES__TOKEN_CALLBACK" }}true{{ end }}
{{- end }}

{{- /* User and password of a login, for a container of Orders. (root; migrate, write or read) */}}
{{- define "orders.login" -}}
{{- $keys := (index . 0).Values.postgresql.existingSecretKeys -}}
- name: PGUSER
  valueFrom: {secretKeyRef: {name: {{ include "orders.databaseSecret" . | quote }}, key: {{ quote $keys.username }}}}
{{- if not (include "orders.hasTokenCallback" (index . 0)) }}
- {name: ORDERS_POSTGRES__PASSWORD_FILE, value: {{ printf "/etc/orders/postgresql-login/%s" $keys.password | quote }}}
{{- end }}
{{- end }}

{{- /* User and password of a login, as variables of those names. (root; migrate, write or read; user's, password's variable) */}}
{{- define "orders.loginEnv" -}}
{{- $secret := include "orders.databaseSecret" . -}}
{{- $keys := (index . 0).Values.postgresql.existingSecretKeys -}}
- name: {{ index . 2 }}
  valueFrom: {secretKeyRef: {name: {{ quote $secret }}, key: {{ quote $keys.username }}}}
- name: {{ index . 3 }}
  valueFrom: {secretKeyRef: {name: {{ quote $secret }}, key: {{ quote $keys.password }}}}
{{- end }}
