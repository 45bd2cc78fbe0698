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

{{- /* A pod for each shard, should the sites be shared out, and one that takes over, should one be elected. */}}
{{- define "nbu-otel-agent.replicas" -}}
{{- max (int .Values.replicas) (int (dig "sharding" "shards" 0 .Values.config)) (.Values.election.enabled | ternary 2 1) }}
{{- end }}

{{- define "nbu-otel-agent.lease" -}}
{{- (.Values.config.election | default dict).lease | default (include "nbu-otel-agent.fullname" .) }}
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
{{- $config := .Values.config }}
{{- $election := $config.election | default dict }}
{{- $shared := ($config.state | default dict).shared }}
{{- if and $shared (not .Values.persistence.existingClaim) }}
{{- fail "config.state.shared: the pods have no volume in common: name one that all of them can write in persistence.existingClaim" }}
{{- end }}
{{- if .Values.election.enabled }}
{{- if and .Values.persistence.existingClaim (not $shared) }}
{{- fail "config.state.shared: set it to true, since all pods have the volume persistence.existingClaim" }}
{{- end }}
{{- if dig "sharding" "shards" 0 $config }}
{{- fail "election.enabled: not beside config.sharding: give each shard to one pod, or let all pods take turns for all sites" }}
{{- end }}
{{- if ne ($election.namespace | default .Release.Namespace) .Release.Namespace }}
{{- fail "config.election.namespace: the pods may use a Lease of their own namespace alone: leave it out" }}
{{- end }}
{{- $election = merge (dict "lease" (include "nbu-otel-agent.lease" .) "namespace" .Release.Namespace) $election }}
{{- $config = merge (dict "election" $election) (deepCopy $config) }}
{{- else if $election.lease }}
{{- fail "config.election.lease: set election.enabled, which permits the pods to use it" }}
{{- end }}
{{- toYaml $config }}
{{- end }}
