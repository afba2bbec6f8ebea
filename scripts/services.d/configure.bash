# The configuration of one set of servers. Sourced by scripts/services, which sets `state`.
# shellcheck shell=bash disable=SC2154

admin_password=admin-secret
service_password=swift-secret
backup_password=backup-secret

choose_ports() {
  read -r memcached_port account_port container_port object_port tempauth_port keystone_proxy_port keystone_port \
    < <("$parts/ports.py" 7)
}

storage_server() { # NAME PORT WORKERS
  cat >"$state/etc/$1-server.conf" <<END
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $2
workers = $3
user = $(id -un)
swift_dir = $state/etc
devices = $state/srv
mount_check = false
fallocate_reserve = 0
log_level = WARNING
[pipeline:main]
pipeline = $1-server
[app:$1-server]
use = egg:swift#$1
END
}

# Long timeouts: on a busy machine of two cores a slow answer is no fault of the program under test.
proxy_server() { # NAME PORT AUTHENTICATION-MIDDLEWARE
  cat >"$state/etc/$1-proxy.conf" <<END
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $2
workers = 2
user = $(id -un)
swift_dir = $state/etc
log_level = WARNING
client_timeout = 60
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck proxy-logging cache listing_formats bulk tempurl ratelimit $3 copy container-quotas account-quotas slo dlo versioned_writes symlink proxy-logging proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
conn_timeout = 5
node_timeout = 60
recoverable_node_timeout = 60
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:$memcached_port
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
user_test_reader = reading
user_other_tester = testing .admin
[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
www_authenticate_uri = http://127.0.0.1:$keystone_port/v3
auth_url = http://127.0.0.1:$keystone_port/v3
auth_type = password
username = swift
password = $service_password
project_name = service
user_domain_name = Default
project_domain_name = Default
delay_auth_decision = True
memcached_servers = 127.0.0.1:$memcached_port
# A token that was revoked is refused a second later.
token_cache_time = 1
[filter:keystoneauth]
use = egg:swift#keystoneauth
operator_roles = admin, member
END
  local middleware
  for middleware in catch_errors gatekeeper healthcheck listing_formats bulk tempurl ratelimit s3api copy slo dlo symlink; do
    printf '[filter:%s]\nuse = egg:swift#%s\n' "$middleware" "$middleware"
  done >>"$state/etc/$1-proxy.conf"
  for middleware in proxy_logging container_quotas account_quotas; do
    printf '[filter:%s]\nuse = egg:swift#%s\n' "${middleware//_/-}" "$middleware"
  done >>"$state/etc/$1-proxy.conf"
}

configure_swift() {
  storage_server account "$account_port" 1
  storage_server container "$container_port" 1
  storage_server object "$object_port" 2
  proxy_server tempauth "$tempauth_port" "s3api tempauth"
  proxy_server keystone "$keystone_proxy_port" "authtoken keystoneauth"
}

# Few rounds of password hashing: these passwords protect nothing, and each token costs one.
configure_keystone() {
  cat >"$state/etc/keystone.conf" <<END
[DEFAULT]
log_file = $state/log/keystone.log
default_log_levels = keystone=WARNING,sqlalchemy=WARNING,dogpile=WARNING,oslo=WARNING
[database]
connection = sqlite:///$state/keystone/keystone.db
[token]
provider = fernet
expiration = ${NIGHTSHARD_SERVICES_TOKEN_SECONDS:-3600}
[fernet_tokens]
key_repository = $state/keystone/fernet-keys
[fernet_receipts]
key_repository = $state/keystone/fernet-keys
[credential]
key_repository = $state/keystone/credential-keys
[identity]
password_hash_rounds = 4
END
}

# Without the write-ahead log some writes answer 500, "database is locked".
prepare_keystone() {
  local url=http://127.0.0.1:$keystone_port/v3 log=$state/log/keystone-manage.log
  local manage=(keystone-manage --config-file "$state/etc/keystone.conf")
  {
    "${manage[@]}" db_sync
    sqlite3 "$state/keystone/keystone.db" 'PRAGMA journal_mode=WAL'
    "${manage[@]}" bootstrap --bootstrap-password "$admin_password" --bootstrap-region-id RegionOne \
      --bootstrap-admin-url "$url" --bootstrap-public-url "$url" --bootstrap-internal-url "$url"
  } >"$log" 2>&1 9>&- || { tail -n 20 "$log" >&2; fail "Keystone could not be prepared"; }
}

# What tests and scripts read. Swift's /etc/swift/swift.conf and rings are of no concern to them.
print_exports() {
  cat <<END
export NIGHTSHARD_TEST_TEMPAUTH_PROXY=http://127.0.0.1:$tempauth_port
export NIGHTSHARD_TEST_TEMPAUTH_URL=http://127.0.0.1:$tempauth_port/auth/v1.0
export NIGHTSHARD_TEST_TEMPAUTH_USER=test:tester
export NIGHTSHARD_TEST_TEMPAUTH_KEY=testing
export NIGHTSHARD_TEST_TEMPAUTH_READER=test:reader
export NIGHTSHARD_TEST_TEMPAUTH_READER_KEY=reading
export NIGHTSHARD_TEST_KEYSTONE_PROXY=http://127.0.0.1:$keystone_proxy_port
export NIGHTSHARD_TEST_KEYSTONE_URL=http://127.0.0.1:$keystone_port/v3
export NIGHTSHARD_TEST_KEYSTONE_ADMIN_PASSWORD=$admin_password
END
}
