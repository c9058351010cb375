#!/usr/bin/env bash
# Makes what the parts of a farm know each other by: a certificate authority, Redis' certificate, a password for each
# role, and the files that hold them.
#
#   deploy/credentials.sh DIRECTORY HOST…      HOSTs are the names and addresses under which workers reach Redis
#
#   DIRECTORY/tls/ca.crt            goes to every machine              DIRECTORY/redis/users.acl    to Redis: hashes alone
#   DIRECTORY/tls/head.{crt,key}    to Redis, the API, Flower          DIRECTORY/env/ROLE           to whoever has the role
#   DIRECTORY/tls/ca.key            to nobody: keep it                 DIRECTORY/flower.logins, grafana.password
#
# The first HOST is the one that the broker's URLs name; the certificate is also for `localhost`. The URLs name the
# authority as ${PENUMBRA_ETC:-/etc/penumbra}/tls/ca.crt, the place where it will lie. Run again, this makes new passwords
# and keeps the authority, the certificate and the logins: docs/guide/operations.md tells how they are changed.
set -euo pipefail
umask 077

[ $# -ge 2 ] || { sed -n '2,13s/^# \{0,1\}//p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
etc=${PENUMBRA_ETC:-/etc/penumbra}
port=${PENUMBRA_REDIS_PORT:-6379}
out=$1 host=$2
shift
mkdir -p "$out"/{tls,redis,env,api}

if [ ! -e "$out/tls/ca.crt" ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=Penumbra farm" \
        -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign" \
        -keyout "$out/tls/ca.key" -out "$out/tls/ca.crt" 2>/dev/null
fi
if [ ! -e "$out/tls/head.crt" ]; then
    names=",DNS:localhost,IP:127.0.0.1"
    for each in "$@"; do
        case $each in
            *[!0-9.]*) [ "${each#*:}" = "$each" ] && names+=",DNS:$each" || names+=",IP:$each" ;;
            *) names+=",IP:$each" ;;
        esac
    done
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$host" \
        -keyout "$out/tls/head.key" -out "$out/tls/head.csr" 2>/dev/null
    openssl x509 -req -in "$out/tls/head.csr" -CA "$out/tls/ca.crt" -CAkey "$out/tls/ca.key" -CAcreateserial \
        -days 825 -out "$out/tls/head.crt" 2>/dev/null \
        -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n' "${names#,}")
    rm -f "$out/tls/head.csr"
fi

acl=$(cat "$here/redis/users.acl.in")
for role in worker control monitor operator; do
    password=$(openssl rand -hex 32)
    hash=$(printf %s "$password" | openssl dgst -sha256 -r | cut -d' ' -f1)
    acl=${acl//@$role@/$hash}
    user=${role/operator/default}
    url="rediss://$user:$password@$host:$port/0?ssl_cert_reqs=required&ssl_ca_certs=$etc/tls/ca.crt"
    printf 'PIPELINE_BROKER_URL=%s\n' "$url" >"$out/env/$role"
done
printf '%s\n' "$acl" >"$out/redis/users.acl"
[ -e "$out/flower.logins" ] || printf 'wrangler:%s\n' "$(openssl rand -hex 16)" >"$out/flower.logins"
[ -e "$out/grafana.password" ] || openssl rand -hex 16 >"$out/grafana.password"
chmod 644 "$out/tls/ca.crt" "$out/tls/head.crt"
echo "$out: an authority, a certificate for $*, and passwords of worker, control, monitor, operator"
