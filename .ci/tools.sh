#!/usr/bin/env bash
# tools.sh [NAME...]: builds the chart tools from Go modules, into a folder of the user's cache, and prints the folder's path as its last line.
# Helm 3 is installed as helm3 and helm, Helm 4 as helm4. The first run takes about 4 minutes on two cores. Tools that only a release and
# .ci/nightly need are built only if named.
set -euo pipefail
source "$(dirname "$0")/machine.sh"

folder=${ORDERS_TOOLS_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/orders-tools}

wanted=" $* "
only_if_named=" cosign oras "

main() {
  mkdir -p "$folder"
  tool helm3 helm.sh/helm/v3/cmd/helm@v3.19.2 "$(assumed_kubernetes helm.sh/helm/v3/pkg/{chartutil,lint/rules})"
  tool helm4 helm.sh/helm/v4/cmd/helm@v4.0.1 "$(assumed_kubernetes helm.sh/helm/v4/pkg/chart/{common,v2/lint/rules})"
  tool kubeconform github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0
  tool kube-score github.com/zegl/kube-score/cmd/kube-score@v1.20.0
  tool helm-docs github.com/norwoodj/helm-docs/cmd/helm-docs@v1.14.2
  tool actionlint github.com/rhysd/actionlint/cmd/actionlint@v1.7.9
  tool registry github.com/google/go-containerregistry/cmd/registry@v0.20.6
  tool cosign github.com/sigstore/cosign/v3/cmd/cosign@v3.0.6
  tool oras oras.land/oras/cmd/oras@v1.3.6
  ln -sfn helm3 "$folder/helm"
  echo "$folder"
}

# Kubernetes 1.34 is the version of the client in both releases of Helm. Without these flags, Helm assumes 1.20, which the chart rejects.
assumed_kubernetes() { # PACKAGE OF HELM...
  printf -- '-X %s.k8sVersionMinor=34 ' "$@"
}

is_wanted() { # NAME
  if [ "$wanted" = "  " ]; then [[ $only_if_named != *" $1 "* ]]; else [[ $wanted = *" $1 "* ]]; fi
}

tool() { # NAME PACKAGE@VERSION [LINKER FLAGS]
  local started=$SECONDS source="$2${3:+ $3}" built
  is_wanted "$1" && [ "$(cat "$folder/.$1" 2>/dev/null)" != "$source" ] || return 0
  find_go
  built=$(mktemp -d)
  GOBIN=$built nice -n 10 go install -trimpath -ldflags "-s -w ${3:-}" "$2" >&2
  mv "$built"/* "$folder/$1"
  rmdir "$built"
  echo "$source" >"$folder/.$1"
  echo "tools: $1 built in $((SECONDS - started)) s"
}

main
