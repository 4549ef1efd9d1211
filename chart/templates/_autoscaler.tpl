{{- /* A HorizontalPodAutoscaler on CPU. (root, component) */}}
{{- define "orders.autoscaler" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $autoscaling := (index $root.Values $component).autoscaling -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "orders.fullname" $root }}-{{ $component }}
  {{- include "orders.metadata" . | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: {{ ternary $root.Values.consumer.kind "Deployment" (eq $component "consumer") }}
    name: {{ include "orders.fullname" $root }}-{{ $component }}
  minReplicas: {{ $autoscaling.minReplicas }}
  maxReplicas: {{ $autoscaling.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: {{ $autoscaling.targetCPU }}}
  {{- with $autoscaling.behavior }}
  behavior: {{ toJson . }}
  {{- end }}
{{- end }}

{{- /* How KEDA connects to Kafka, as parameters of its trigger. */}}
{{- define "orders.scalerProtocol" -}}
{{- $kafka := .Values.kafka -}}
{{- if hasSuffix "SSL" $kafka.securityProtocol }}
tls: enable
{{- end }}
{{- if hasPrefix "SASL" $kafka.securityProtocol }}
sasl: {{ get (dict "PLAIN" "plaintext" "SCRAM-SHA-256" "scram_sha256" "SCRAM-SHA-512" "scram_sha512") $kafka.sasl.mechanism }}
{{- end }}
{{- end }}

{{- /* The spec of KEDA's TriggerAuthentication, with the consumer's login and certificates; empty if it has none. */}}
{{- define "orders.scalerAuthentication" -}}
{{- $kafka := .Values.kafka -}}
{{- $secrets := list -}}
{{- if hasPrefix "SASL" $kafka.securityProtocol }}
configMapTargetRef:
  - {parameter: username, name: {{ include "orders.fullname" . | quote }}, key: ORDERS_KAFKA__PROPERTIES__sasl.username}
{{- $secrets = append $secrets (dict "parameter" "password" "name" $kafka.sasl.passwordSecret "key" $kafka.sasl.passwordKey) }}
{{- end }}
{{- with $kafka.tls.caSecret }}
{{- $secrets = append $secrets (dict "parameter" "ca" "name" . "key" $kafka.tls.caKey) }}
{{- end }}
{{- with $kafka.tls.clientSecret }}
{{- $secrets = concat $secrets (list (dict "parameter" "cert" "name" . "key" "tls.crt") (dict "parameter" "key" "name" . "key" "tls.key")) }}
{{- end }}
{{- with $secrets }}
secretTargetRef: {{ toJson . }}
{{- end }}
{{- end }}
