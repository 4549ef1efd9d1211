{{- define "orders.migration" -}}
backoffLimit: 3
# Exit code 2 means invalid settings, so a retry cannot succeed.
podFailurePolicy:
  rules:
    - action: FailJob
      onExitCodes: {containerName: migrate, operator: In, values: [2]}
activeDeadlineSeconds: {{ add .Values.migrations.timeout 60 }}
template:
  metadata:
    {{- include "orders.podMetadata" (list . "migration" dict) | nindent 4 }}
  spec:
    {{- include "orders.podSpec" (list . "migration") | nindent 4 }}
    restartPolicy: Never
    {{- if or (ne .Values.migrations.mode "hook") (not .Values.serviceAccount.create) }}
    serviceAccountName: {{ include "orders.serviceAccountName" . | quote }} # a hook runs before the release's account exists
    {{- end }}
    {{- with .Values.initContainers }}
    initContainers: {{ toJson . }}
    {{- end }}
    containers:
      - name: migrate
        {{- include "orders.image" . | nindent 8 }}
        args: [migrate]
        # Inlined, because a hook runs before the release's ConfigMap exists, and so that the Job's name depends on the settings.
        # Kubernetes expands $(NAME) here, but not in a ConfigMap: $$ is a literal $.
        {{- with .Values.envFrom }}
        envFrom: {{ toJson . }}
        {{- end }}
        env:
          {{- range $name, $value := include "orders.settings" . | fromYaml }}
          - {name: {{ quote $name }}, value: {{ $value | replace "$" "$$" | quote }}}
          {{- end }}
          {{- include "orders.login" (list . "migrate") | nindent 10 }}
          {{- include "orders.secretEnv" . | nindent 10 }}
        {{- include "orders.containerSecurity" (list . "migration") | nindent 8 }}
        resources: {{ toJson .Values.migrations.resources }}
        {{- include "orders.volumeMounts" (list . "migrate") | nindent 8 }}
    {{- include "orders.volumes" (list . "migrate") | nindent 4 }}
{{- end }}
