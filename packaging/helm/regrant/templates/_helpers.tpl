{{- define "regrant.name" -}}
{{- .Chart.Name -}}
{{- end -}}

{{- define "regrant.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "regrant.selector" -}}
app.kubernetes.io/name: {{ include "regrant.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The nodes alone, without the migration before an upgrade. */}}
{{- define "regrant.nodes" -}}
{{ include "regrant.selector" . }}
app.kubernetes.io/component: node
{{- end -}}

{{- define "regrant.labels" -}}
{{ include "regrant.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "regrant.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "regrant.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "regrant.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* A TOML string that may come from anybody: TOML's basic strings are written like those of JSON. */}}
{{- define "regrant.toml" -}}
# Made by the chart. `regrant init DIR` writes a file that explains every setting.
issuer = {{ .Values.issuer | toJson }}
listen = "0.0.0.0:8420"
store = {{ .Values.database.url | toJson }}
{{- if .Values.database.password.existingSecret }}
store_password_file = "/run/secrets/regrant/database-password"
{{- end }}
root_key_file = "/run/secrets/regrant/root.key"
{{- with .Values.trustedProxies }}
trusted_proxies = {{ toJson . }}
forwarded_header = {{ $.Values.forwardedHeader | toJson }}
{{- end }}
{{- with .Values.config.top }}
{{ . | trim }}
{{- end }}

[http]
drain_delay = {{ .Values.drain.delay | toJson }}
drain_timeout = {{ .Values.drain.timeout | toJson }}
{{- if .Values.tls.existingSecret }}

[tls]
certificate_file = "/run/secrets/regrant-tls/tls.crt"
key_file = "/run/secrets/regrant-tls/tls.key"
{{- end }}
{{- if .Values.metrics.enabled }}

[metrics]
listen = "0.0.0.0:9464"
allow_remote = true
{{- end }}
{{- with .Values.config.sections }}

{{ . | trim }}
{{- end }}
{{ end -}}

{{/* What a node and the migration have in common: who they run as, what they may do, and their secrets. */}}
{{- define "regrant.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "regrant.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "regrant.mounts" -}}
- name: config
  mountPath: /etc/regrant/regrant.toml
  subPath: regrant.toml
  readOnly: true
- name: secrets
  mountPath: /run/secrets/regrant
  readOnly: true
{{- if .Values.database.ca.existingSecret }}
- name: database-ca
  mountPath: /etc/regrant/database
  readOnly: true
{{- end }}
{{- if .Values.tls.existingSecret }}
- name: tls
  mountPath: /run/secrets/regrant-tls
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "regrant.volumes" -}}
- name: secrets
  projected:
    # Readable for the group of the pod (fsGroup), which is the server's own, and for nobody else.
    defaultMode: 0440
    sources:
      - secret:
          name: {{ required "rootKey.existingSecret: name the secret that holds the root key" .Values.rootKey.existingSecret }}
          items:
            - key: {{ .Values.rootKey.key }}
              path: root.key
      {{- with .Values.database.password.existingSecret }}
      - secret:
          name: {{ . }}
          items:
            - key: {{ $.Values.database.password.key }}
              path: database-password
      {{- end }}
{{- with .Values.database.ca.existingSecret }}
- name: database-ca
  secret:
    secretName: {{ . }}
    defaultMode: 0444
    items:
      - key: {{ $.Values.database.ca.key }}
        path: ca.crt
{{- end }}
{{- with .Values.tls.existingSecret }}
- name: tls
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
