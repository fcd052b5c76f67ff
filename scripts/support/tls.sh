# shellcheck shell=bash
# A private certificate authority in .local/tls with a server certificate for localhost and a client certificate.
# 127.0.0.2 is deliberately not in the server certificate: the servers listen there too, as the wrong name for tests.

ensure_tls() {
    local tls=$state/tls made
    # A day's margin, so that no run sees a certificate expire under it.
    if openssl x509 -checkend 86400 -noout -in "$tls/server.pem" >/dev/null 2>&1; then
        return
    fi
    made=$(mktemp -d "$state/tls.XXXXXX")
    chmod 0755 "$made"
    (
        umask 077
        cd "$made" || exit
        authority ca "Neff development authority"
        authority stranger-ca "Stranger"
        certificate server localhost "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1" serverAuth
        certificate client neff "subjectAltName=DNS:neff" clientAuth
        chmod 0644 ./*.pem
        chmod 0600 ./*-key.pem
        rm -f ./*.csr ./*.srl
    )
    rm -rf "$tls"
    mv "$made" "$tls"
}

authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 825 -subj "/CN=$2" \
        -addext "keyUsage=critical,keyCertSign,cRLSign" -keyout "$1-key.pem" -out "$1.pem" 2>/dev/null
}

certificate() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$2" \
        -keyout "$1-key.pem" -out "$1.csr" 2>/dev/null
    openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 397 -out "$1.pem" \
        -extfile <(printf '%s\nextendedKeyUsage=%s\nbasicConstraints=CA:FALSE\n' "$3" "$4") 2>/dev/null
}

# Gives a server its own copy, owned by the account: PostgreSQL insists on owning its key.
install_tls() {
    local dir=$1 name
    for name in ca.pem server.pem server-key.pem; do
        private_file "$dir/$name" <"$state/tls/$name"
    done
}
