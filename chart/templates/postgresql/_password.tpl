{{- /* The Secret of the in-chart server, kept where it is there already; made once in a rendering. */}}
{{- define "orders.databasePasswords" -}}
{{- if not (hasKey .Values.postgresql "passwords") -}}
{{- $there := lookup "v1" "Secret" .Release.Namespace (include "orders.databaseSecret" .) -}}
{{- $data := dict -}}
{{- if $there }}{{ $data = $there.data }}{{ end -}}
{{- $passwords := dict -}}
{{- $keys := .Values.postgresql.existingSecretKeys -}}
{{- range $key := list $keys.password $keys.superuserPassword }}
{{- $_ := set $passwords $key (get $data $key | default (randAlphaNum 32 | b64enc)) }}
{{- end }}
{{- $_ := set .Values.postgresql "passwords" $passwords -}}
{{- end -}}
{{ toYaml .Values.postgresql.passwords }}
{{- end }}
