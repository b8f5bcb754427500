{{/* Names and labels. */}}
{{- define "broker.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "broker.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "broker.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "broker.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "broker.selectorLabels" -}}
app.kubernetes.io/name: {{ include "broker.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: broker
{{- end -}}

{{- define "broker.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: b2b-credential-broker
{{ include "broker.selectorLabels" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Metadata of an object: (list $ name annotations) */}}
{{- define "broker.metadata" -}}
{{- $root := index . 0 -}}
name: {{ index . 1 }}
namespace: {{ include "broker.namespace" $root }}
labels:
  {{- include "broker.labels" $root | nindent 2 }}
{{- with merge (dict) (default (dict) (index . 2)) $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "broker.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "broker.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "broker.image" -}}
{{- with .Values.image -}}
{{- $repository := empty .registry | ternary .repository (printf "%s/%s" .registry .repository) -}}
{{- if .digest -}}
{{ $repository }}@{{ .digest }}
{{- else -}}
{{ $repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The secret with the API's certificate; empty for none. */}}
{{- define "broker.tlsSecret" -}}
{{- if .Values.tls.existingSecret -}}
{{- .Values.tls.existingSecret -}}
{{- else if .Values.tls.certManager.enabled -}}
{{- include "broker.fullname" . }}-tls
{{- end -}}
{{- end -}}

{{- define "broker.accessConfigMap" -}}
{{- default (printf "%s-access" (include "broker.fullname" .)) .Values.access.existingConfigMap -}}
{{- end -}}

{{/* Whether the broker talks to the API server; "true" or nothing. */}}
{{- define "broker.asksCluster" -}}
{{- if ne .Values.kubernetesCallers.check "none" }}true{{ end -}}
{{- end -}}

{{- define "broker.accessFile" -}}
{{- $issuers := list -}}
{{- with .Values.kubernetesCallers -}}
{{- if ne .check "none" -}}
{{- $own := "/var/run/secrets/kubernetes.io/serviceaccount" -}}
{{- $jwks := dict "url" "https://kubernetes.default.svc/openid/v1/jwks" "ca_file" (printf "%s/ca.crt" $own) "token_file" (printf "%s/token" $own) -}}
{{- $issuers = append $issuers (dict "name" "k8s" "type" "kubernetes" "issuer" .issuer "audience" .audience "jwks" $jwks "token_review" (eq .check "tokenReview")) -}}
{{- end -}}
{{- end -}}
{{- dict "version" 1 "issuers" (concat $issuers .Values.access.issuers) "grants" .Values.access.grants "tests" .Values.access.tests | toYaml -}}
{{- end -}}

{{/* Ports of Redis, from its URL: those that stand there, and those that are meant where none stands. */}}
{{- define "broker.redisPorts" -}}
{{- $url := .Values.redis.url -}}
{{- $ports := list "6379" -}}
{{- if contains "+sentinel:" $url -}}
{{- $ports = append $ports "26379" -}}
{{- end -}}
{{- $hosts := regexReplaceAll "^[a-z+]+://([^/]*).*$" $url "${1}" -}}
{{- range regexFindAll ":[0-9]+(,|$)" $hosts -1 -}}
{{- $ports = append $ports (regexFind "[0-9]+" .) -}}
{{- end -}}
{{- $ports | uniq | join "," -}}
{{- end -}}

{{/* The port of a URL that ends with its host, or with a path. */}}
{{- define "broker.port" -}}
{{- $port := regexFind ":[0-9]+(/|$)" . | trimPrefix ":" | trimSuffix "/" -}}
{{- default (hasPrefix "https:" . | ternary "443" "80") $port -}}
{{- end -}}

{{/* An egress rule: (list port peers); anywhere if there are no peers. */}}
{{- define "broker.egress" -}}
- ports: [{port: {{ index . 0 }}, protocol: TCP}]
  {{- with index . 1 }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* The container's security: the restricted profile, and a root file system that nobody writes to. */}}
{{- define "broker.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* What a schema cannot say. */}}
{{- define "broker.check" -}}
{{- $v := .Values -}}
{{- $missing := list -}}
{{- if not $v.image.repository }}{{ $missing = append $missing "image.repository (where the image is, without tag)" }}{{ end -}}
{{- if not $v.redis.url }}{{ $missing = append $missing "redis.url (redis://host:6379/0, or rediss://…)" }}{{ end -}}
{{- if not $v.keyring.existingSecret }}{{ $missing = append $missing "keyring.existingSecret (a secret made of what `broker keys new` makes)" }}{{ end -}}
{{- if $missing -}}
{{- fail (printf "still needed: %s" (join ", " $missing)) -}}
{{- end -}}
{{- if lt (int $v.terminationGracePeriodSeconds) (add (int $v.preStopSeconds) 30 | int) -}}
{{- fail "terminationGracePeriodSeconds: has to be at least preStopSeconds + 30, or requests under way are cut off" -}}
{{- end -}}
{{- if and $v.tls.existingSecret $v.tls.certManager.enabled -}}
{{- fail "tls: give existingSecret or certManager, not both" -}}
{{- end -}}
{{- if and $v.tls.certManager.enabled (not $v.tls.certManager.issuerRef.name) -}}
{{- fail "tls.certManager.issuerRef.name: which issuer?" -}}
{{- end -}}
{{- if and $v.tls.clientCA.existingSecret (not (include "broker.tlsSecret" .)) -}}
{{- fail "tls.clientCA: needs tls.existingSecret or tls.certManager" -}}
{{- end -}}
{{- if and $v.tls.trustedProxies (not $v.tls.clientCA.existingSecret) -}}
{{- fail "tls.trustedProxies: needs tls.clientCA.existingSecret" -}}
{{- end -}}
{{- if and (hasPrefix "http:" $v.upstream.url) (not $v.upstream.allowInsecure) -}}
{{- fail "upstream.url: plain HTTP needs upstream.allowInsecure (sandbox only)" -}}
{{- end -}}
{{- /* Not by a pattern of the schema: helm would repeat the value, and so the password. */}}
{{- if contains "@" $v.redis.url -}}
{{- fail "redis.url: is without user and password; they come from redis.username and redis.existingSecret" -}}
{{- end -}}
{{- if and $v.redis.sentinelPasswordKey (not $v.redis.existingSecret) -}}
{{- fail "redis.sentinelPasswordKey: needs redis.existingSecret" -}}
{{- end -}}
{{- if and $v.redis.username (not $v.redis.existingSecret) -}}
{{- fail "redis.username: needs redis.existingSecret" -}}
{{- end -}}
{{- if and $v.redis.ca.existingSecret (not (hasPrefix "rediss" $v.redis.url)) -}}
{{- fail "redis.ca: is for rediss://, and redis.url is plain" -}}
{{- end -}}
{{- if and (has (toString $v.rollingUpdate.maxSurge) (list "0" "0%")) (has (toString $v.rollingUpdate.maxUnavailable) (list "0" "0%")) -}}
{{- fail "rollingUpdate: maxSurge or maxUnavailable has to be more than 0, or no pod is ever replaced" -}}
{{- end -}}
{{- with $v.keyring.vault -}}
{{- if and .url (eq (empty .existingSecret) (empty .tokenVolume)) -}}
{{- fail "keyring.vault: needs existingSecret or tokenVolume with Vault's token, and not both" -}}
{{- end -}}
{{- if and (not .url) (or .existingSecret .tokenVolume .namespace .ca.existingSecret) -}}
{{- fail "keyring.vault.url: where is Vault?" -}}
{{- end -}}
{{- end -}}
{{- with $v.keyring.aws -}}
{{- if and .kmsKey (not .region) -}}
{{- fail "keyring.aws.region: of which region is the key?" -}}
{{- end -}}
{{- if and (not .kmsKey) (or .region .url .credentials.existingSecret) -}}
{{- fail "keyring.aws.kmsKey: which key?" -}}
{{- end -}}
{{- end -}}
{{- if and $v.stores.mounted $v.stores.volume -}}
{{- fail "stores: give mounted or volume, not both" -}}
{{- end -}}
{{- if and $v.access.existingConfigMap (or $v.access.issuers $v.access.grants $v.access.tests $v.access.files) -}}
{{- fail "access: existingConfigMap replaces issuers, grants, tests and files; give one or the other" -}}
{{- end -}}
{{- if hasKey $v.access.files "access.yaml" -}}
{{- fail "access.files: access.yaml is made of issuers, grants and tests" -}}
{{- end -}}
{{- if and $v.autoscaling.enabled (gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas)) -}}
{{- fail "autoscaling.minReplicas: is at most maxReplicas" -}}
{{- end -}}
{{- end -}}
