{{- define "nbu-otel-agent.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- /* 52 characters: a StatefulSet appends 11 to its name in a label of its pods. */}}
{{- define "nbu-otel-agent.fullname" -}}
{{- $name := include "nbu-otel-agent.name" . }}
{{- $both := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- .Values.fullnameOverride | default $both | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- /* Labels that never change: a selector cannot. */}}
{{- define "nbu-otel-agent.selectorLabels" -}}
app.kubernetes.io/name: {{ include "nbu-otel-agent.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "nbu-otel-agent.labels" -}}
{{ include "nbu-otel-agent.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "nbu-otel-agent.serviceAccount" -}}
{{- $own := .Values.serviceAccount.create | ternary (include "nbu-otel-agent.fullname" .) "default" }}
{{- .Values.serviceAccount.name | default $own }}
{{- end }}

{{- define "nbu-otel-agent.image" -}}
{{- with .Values.image }}
{{- .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- /* A pod for each shard, should the sites be shared out. */}}
{{- define "nbu-otel-agent.replicas" -}}
{{- max (int .Values.replicas) (int (dig "sharding" "shards" 0 .Values.config)) }}
{{- end }}

{{- define "nbu-otel-agent.keysSecret" -}}
{{- .Values.apiKeys.values | empty | ternary .Values.apiKeys.existingSecret (printf "%s-keys" (include "nbu-otel-agent.fullname" .)) }}
{{- end }}

{{- define "nbu-otel-agent.caConfigMap" -}}
{{- .Values.caBundle.certificates | empty | ternary .Values.caBundle.existingConfigMap (printf "%s-ca" (include "nbu-otel-agent.fullname" .)) }}
{{- end }}

{{- /* The file that the agent reads. */}}
{{- define "nbu-otel-agent.configuration" -}}
{{- range $at, $site := .Values.config.nbuservers }}
{{- if and $site.apiKey (not (contains "${" (toString $site.apiKey))) }}
{{- fail (printf "config.nbuservers[%d].apiKey: a ConfigMap is no place for a key: use apiKeyFile: /run/nbu-keys/NAME and apiKeys, or ${VARIABLE} and extraEnv" $at) }}
{{- end }}
{{- end }}
{{- toYaml .Values.config }}
{{- end }}
