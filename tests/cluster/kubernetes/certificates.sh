# certificates.sh: creates the cluster's certificates and kubeconfigs, if they are missing. Sourced by up.sh.
# shellcheck shell=bash disable=SC2154 # variables are set in settings.sh

make_certificates() {
  local names=DNS:localhost,IP:127.0.0.1,IP:$node_ip,DNS:$node service=kubernetes.default.svc
  authority ca
  authority front-proxy-ca
  certificate apiserver ca /CN=kube-apiserver serverAuth \
    "$names,IP:$service_ip,DNS:kubernetes,DNS:kubernetes.default,DNS:$service,DNS:$service.cluster.local"
  certificate kubelet-server ca "/O=system:nodes/CN=system:node:$node" serverAuth "$names"
  certificate kubelet-client ca /O=system:masters/CN=kube-apiserver-kubelet-client clientAuth
  certificate front-proxy-client front-proxy-ca /CN=front-proxy-client clientAuth
  [ -f "$pki/accounts.pub" ] || account_keys
  user admin /O=system:masters/CN=admin
  user controllers /CN=system:kube-controller-manager
  user scheduler /CN=system:kube-scheduler
  user kubelet "/O=system:nodes/CN=system:node:$node"
  user proxy /CN=system:kube-proxy
}

authority() { # NAME
  [ -f "$pki/$1.crt" ] || openssl req -x509 -newkey rsa:2048 -nodes -keyout "$pki/$1.key" -out "$pki/$1.crt" -days 3650 \
    -subj "/CN=$1" -addext basicConstraints=critical,CA:TRUE \
    -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature 2>>"$logs/openssl.log"
}

certificate() { # NAME AUTHORITY SUBJECT USE [ALTERNATIVE NAMES]
  [ ! -f "$pki/$1.crt" ] || return 0
  openssl req -newkey rsa:2048 -nodes -keyout "$pki/$1.key" -out "$pki/$1.csr" -subj "$3" 2>>"$logs/openssl.log"
  {
    echo keyUsage=critical,digitalSignature,keyEncipherment
    echo "extendedKeyUsage=$4"
    [ -z "${5:-}" ] || echo "subjectAltName=$5"
  } >"$pki/$1.ext"
  openssl x509 -req -in "$pki/$1.csr" -CA "$pki/$2.crt" -CAkey "$pki/$2.key" -CAcreateserial -days 3650 \
    -extfile "$pki/$1.ext" -out "$pki/$1.crt" 2>>"$logs/openssl.log"
}

account_keys() { # keys that sign service account tokens
  openssl genrsa -out "$pki/accounts.key" 2048 2>>"$logs/openssl.log"
  openssl rsa -in "$pki/accounts.key" -pubout -out "$pki/accounts.pub" 2>>"$logs/openssl.log"
}

user() { # NAME SUBJECT: a client certificate and a kubeconfig
  local file=$config/$1.kubeconfig
  certificate "$1" ca "$2" clientAuth
  [ ! -f "$file" ] || return 0
  configure set-cluster orders --server="https://127.0.0.1:$api_port" --certificate-authority="$pki/ca.crt" --embed-certs
  configure set-credentials "$1" --client-certificate="$pki/$1.crt" --client-key="$pki/$1.key" --embed-certs
  configure set-context orders --cluster=orders --user="$1"
  configure use-context orders
  mv "$file.new" "$file"
}

configure() { kubectl --kubeconfig "$file.new" config "$@" >/dev/null; }
