#!/usr/bin/python3
"""Makes Keystone's users, projects and catalogue over its API and prints them as shell exports.

The `openstack` command would take one to two seconds for each of these two dozen calls.
"""

import json
import sys
import urllib.error
import urllib.request

keystone_port, proxy_port, admin_password, service_password, backup_password = sys.argv[1:]
BASE = f"http://127.0.0.1:{keystone_port}/v3"
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def call(method, path, body=None, token=None):
    """Returns the answer's headers and its JSON."""
    headers = {"Content-Type": "application/json"}
    if token:
        headers["X-Auth-Token"] = token
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(BASE + path, data, headers, method=method)
    try:
        with OPENER.open(request, timeout=60) as answer:
            text = answer.read()
            return answer.headers, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        sys.exit(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}")


def token_of(user, password, domain, project, project_domain):
    auth = {
        "identity": {
            "methods": ["password"],
            "password": {"user": {"name": user, "domain": {"name": domain}, "password": password}},
        },
        "scope": {"project": {"name": project, "domain": {"name": project_domain}}},
    }
    headers, answer = call("POST", "/auth/tokens", {"auth": auth})
    return headers["X-Subject-Token"], answer["token"]


admin, _ = token_of("admin", admin_password, "Default", "admin", "Default")


def make(kind, **fields):
    """Creates one thing (a project, a user, …) and returns its id."""
    return call("POST", f"/{kind}s", {kind: fields}, admin)[1][kind]["id"]


def grant(project, user, role):
    call("PUT", f"/projects/{project}/users/{user}/roles/{role}", None, admin)


roles = {role["name"]: role["id"] for role in call("GET", "/roles", None, admin)[1]["roles"]}

# Swift's own user, with which the proxy checks tokens.
service_project = make("project", name="service", domain_id="default")
grant(service_project, make("user", name="swift", password=service_password, domain_id="default"), roles["admin"])

# The user of the backups; one of the same name in another domain, so that forgetting which domain a
# user is in shows; and one who may log in but not touch the project's containers.
other_domain = make("domain", name="Elsewhere")
project = make("project", name="backups", domain_id="default")
member = make("user", name="nightshard", password=backup_password, domain_id="default")
grant(project, member, roles["member"])
grant(project, make("user", name="nightshard", password=backup_password + "-elsewhere", domain_id=other_domain), roles["member"])
grant(project, make("user", name="reader", password=backup_password, domain_id="default"), roles["reader"])

# `localhost` and `127.0.0.1` lead to the same proxy, but tell which interface and region was chosen.
store = make("service", name="swift", type="object-store")
call("PUT", "/regions/RegionTwo", {"region": {}}, admin)
account = "/v1/AUTH_%(project_id)s"
for region, interface, url in [
    ("RegionOne", "public", f"http://127.0.0.1:{proxy_port}{account}"),
    ("RegionOne", "internal", f"http://localhost:{proxy_port}{account}"),
    ("RegionOne", "admin", f"http://127.0.0.1:{proxy_port}/v1"),
    ("RegionTwo", "public", f"http://localhost:{proxy_port}{account}"),
    ("RegionTwo", "internal", f"http://127.0.0.1:{proxy_port}{account}"),
]:
    make("endpoint", service_id=store, region_id=region, interface=interface, url=url)

token, _ = token_of("nightshard", backup_password, "Default", "backups", "Default")
credential = call(
    "POST",
    f"/users/{member}/application_credentials",
    {"application_credential": {"name": "nightly", "secret": "application-secret"}},
    token,
)[1]["application_credential"]

exports = {
    "USER": "nightshard",
    "PASSWORD": backup_password,
    "PROJECT": "backups",
    "PROJECT_ID": project,
    "DOMAIN": "Default",
    "OTHER_DOMAIN": "Elsewhere",
    "OTHER_DOMAIN_PASSWORD": backup_password + "-elsewhere",
    "READER": "reader",
    "USER_ID": member,
    "REGION": "RegionOne",
    "OTHER_REGION": "RegionTwo",
    "APPLICATION_CREDENTIAL_ID": credential["id"],
    "APPLICATION_CREDENTIAL_NAME": credential["name"],
    "APPLICATION_CREDENTIAL_SECRET": "application-secret",
}
for name, value in exports.items():
    print(f"export NIGHTSHARD_TEST_KEYSTONE_{name}={value}")
