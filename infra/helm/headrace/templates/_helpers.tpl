{{- define "headrace.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* The labels that select the pods of a role; takes a dict of `root` and `role`. */ -}}
{{- define "headrace.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{- define "headrace.labels" -}}
{{ include "headrace.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "headrace.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- /* The files of the Secret that a role gets: a dict of settings and keys, as YAML. */ -}}
{{- define "headrace.secretKeys" -}}
{{- range $setting, $file := .root.Values.secretFiles }}
{{- if or (not $file.roles) (has $.role $file.roles) }}
{{ $setting }}: {{ $file.key }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "headrace.env" -}}
{{- $own := dict }}
{{- if hasKey .root.Values.roles .role }}
{{- $own = (get .root.Values.roles .role).settings | default dict }}
{{- end }}
{{- $derived := dict }}
{{- with .root.Values.trustedProxies }}
{{- $_ := set $derived "HEADRACE_API__TRUSTED_PROXIES" (join "," .) }}
{{- end }}
{{- if .root.Values.ingress.enabled }}
{{- with .root.Values.ingress.path }}
{{- $_ := set $derived "HEADRACE_API__ROOT_PATH" . }}
{{- end }}
{{- $scheme := ternary "https" "http" (ne .root.Values.ingress.tlsSecretName "") }}
{{- $_ := set $derived "HEADRACE_QUERY__PUBLIC_URL" (printf "%s://%s%s" $scheme .root.Values.ingress.host .root.Values.ingress.path) }}
{{- end }}
{{- range $name, $value := merge (dict) $own .root.Values.settings $derived }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- range $setting, $key := include "headrace.secretKeys" . | fromYaml }}
- name: {{ $setting }}
  value: /etc/headrace/secrets/{{ $key }}
{{- end }}
{{- end -}}

{{- define "headrace.volumeMounts" -}}
- name: tmp
  mountPath: /tmp
{{- if include "headrace.secretKeys" . | trim }}
- name: secrets
  mountPath: /etc/headrace/secrets
  readOnly: true
{{- end }}
{{- end -}}

{{- define "headrace.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- with include "headrace.secretKeys" . | fromYaml }}
- name: secrets
  secret:
    secretName: {{ $.root.Values.secretName }}
    defaultMode: 0440
    items:
      {{- range $key := values . | uniq | sortAlpha }}
      - key: {{ $key }}
        path: {{ $key }}
      {{- end }}
{{- end }}
{{- end -}}

{{- define "headrace.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "headrace.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}
