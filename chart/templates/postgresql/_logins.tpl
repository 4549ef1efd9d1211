{{- /* Secrets that the chart creates, by name. Passwords of existing Secrets are kept. Cached in the values, so that all templates get the
same random passwords. */}}
{{- define "orders.databaseSecrets" -}}
{{- $postgresql := .Values.postgresql -}}
{{- if not (hasKey $postgresql "secrets") -}}
{{- $keys := $postgresql.existingSecretKeys -}}
{{- $secrets := dict -}}
{{- range $login, $user := dict "migrate" "orders" "write" "orders_write" "read" "orders_read" }}
{{- $name := include "orders.databaseSecret" (list $ $login) }}
{{- if and $postgresql.enabled (not (has $name (list $postgresql.existingSecret $postgresql.existingWriteSecret $postgresql.existingReadSecret))) }}
{{- $existing := (lookup "v1" "Secret" $.Release.Namespace $name | default dict).data | default dict }}
{{- $data := dict $keys.username (b64enc $user) }}
{{- range $key := ternary (list $keys.password $keys.superuserPassword) (list $keys.password) (eq $login "migrate") }}
{{- $_ := set $data $key (get $existing $key | default (randAlphaNum 32 | b64enc)) }}
{{- end }}
{{- $_ := set $secrets $name $data }}
{{- end }}
{{- end }}
{{- $_ := set $postgresql "secrets" $secrets -}}
{{- end -}}
{{ toYaml .Values.postgresql.secrets }}
{{- end }}

{{- /* Not empty if consumer and API have their own logins. */}}
{{- define "orders.hasThreeLogins" -}}
{{- if ne (include "orders.databaseSecret" (list . "migrate")) (include "orders.databaseSecret" (list . "write")) }}true{{ end }}
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
