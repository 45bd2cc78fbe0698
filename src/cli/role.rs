//! `doctor --role`: what the role of the API key must permit, as a script that creates the role
//! (docs/netbackup-api.md#roles).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::collectors::{Row, Settings, TABLE};
use crate::config::Config;
use crate::net::address::without_credentials;
use crate::netbackup;
use crate::slp::Links;

/// The script after its head: the role, then an access definition for each namespace.
const BODY: &str = r#"
post() {
  curl --silent --show-error --fail-with-body ${NBU_CA:+--cacert "$NBU_CA"} --header "@$NBU_AUTH" \
    --header 'Accept: application/vnd.netbackup+json;version=10.0' \
    --header 'Content-Type: application/vnd.netbackup+json;version=10.0' \
    --data-binary @- "$base$1"
}

fail() {
  printf '%s\n' "$1" >&2
  exit 1
}

grant() {
  namespace=$1 operations=
  shift
  for operation; do
    operations="$operations${operations:+, }{\"type\": \"accessControlOperation\", \"id\": \"$operation\"}"
  done
  object=$(printf %s "$namespace" | sed 's/|/%7C/g')
  answer=$(post "/access-control/managed-objects/$object/access-definitions" <<JSON
{"data": {
  "type": "accessDefinition",
  "attributes": {"propagation": "OBJECT_AND_CHILDREN"},
  "relationships": {
    "role": {"data": {"type": "accessControlRole", "id": "$role"}},
    "operations": {"data": [$operations]},
    "managed_object": {"data": {"type": "managedObject", "id": "$namespace"}}
  }
}}
JSON
  ) || fail "$namespace: $answer"
}

answer=$(post /access-control/roles <<'JSON'
{"data": {
  "type": "accessControlRole",
  "attributes": {"name": "nbu-otel-agent", "description": "What nbu-otel-agent reads; it changes nothing."}
}}
JSON
) || fail "$answer"
role=$(printf %s "$answer" | jq -er .data.id)
grants
echo "The role nbu-otel-agent ($role) is there. Add the user of the API key to it: Security > RBAC in the web UI."
"#;

/// Operations on a namespace, and the collectors that take them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Grant {
    operations: BTreeSet<&'static str>,
    collectors: BTreeSet<&'static str>,
}

/// Grants by namespace.
type Role = BTreeMap<&'static str, Grant>;

/// Returns the script for all sites of a configuration.
pub(super) fn script(config: &Config) -> String {
    let mut roles: Vec<(Role, Vec<&netbackup::Config>)> = Vec::new();
    for server in &config.servers {
        let role = role(config, server);
        match roles.iter_mut().find(|(known, _)| *known == role) {
            Some((_, servers)) => servers.push(server),
            None => roles.push((role, vec![server])),
        }
    }
    let mut text = "\
#!/bin/sh
# Creates the role for nbu-otel-agent on a primary server: what its collectors read, and nothing else.
"
    .to_owned();
    for (role, servers) in &roles {
        describe(&mut text, role, servers);
    }
    let sites: Vec<&str> = config.servers.iter().map(|server| &*server.site).collect();
    let sites = sites.join(" ");
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "#
# Read it, then run it for each site: sh role.sh SITE
# It needs curl (7.76 or later), jq, and two variables:
#   NBU_AUTH  a file with the line \"Authorization: KEY\": the API key or token of a user who may create roles
#   NBU_CA    the PEM file of the server's CA, unless the system trusts it
# The web UI does the same: Security > RBAC.
set -eu
: \"${{NBU_AUTH:?a file with the line Authorization: KEY}}\"
case \"${{1-}}\" in
"
    );
    for (number, (_, servers)) in roles.iter().enumerate() {
        for server in servers {
            let base = without_credentials(&server.base_url);
            let (site, base) = (quoted(&server.site), quoted(&base));
            let _ = writeln!(text, "{site}) base={base} grants=grants_{number} ;;");
        }
    }
    let usage = quoted(&format!("usage: sh role.sh SITE; the sites: {sites}"));
    let _ = writeln!(text, "*) echo {usage} >&2; exit 2 ;;\nesac");
    for (number, (role, _)) in roles.iter().enumerate() {
        let _ = writeln!(text, "\ngrants_{number}() {{");
        for (namespace, grant) in role {
            let operations: Vec<String> = grant.operations.iter().map(|it| quoted(it)).collect();
            let _ = writeln!(text, "  grant {} {}", quoted(namespace), operations.join(" "));
        }
        text.push_str("}\n");
    }
    text + &BODY.replace("\ngrants\n", "\n$grants\n")
}

/// Returns what the collectors that are on read of a server.
fn role(config: &Config, server: &netbackup::Config) -> Role {
    let (collectors, window) = (&config.collectors, config.polling.window);
    let links = Links::default();
    let settings = Settings { collectors, window, state: None, links: &links };
    let mut role = Role::new();
    let is_asked = |row: &&Row| {
        let since = (row.build)(&settings).since();
        let lacks = server.api_version.zip(since).is_some_and(|(has, since)| has < since);
        row.is_enabled(collectors) && !lacks
    };
    for row in TABLE.iter().filter(is_asked) {
        for permission in row.permissions() {
            let grant = role.entry(permission.namespace).or_default();
            grant.operations.insert(permission.operation);
            grant.collectors.insert(row.name);
        }
    }
    role
}

/// Writes the table of a role as comments.
fn describe(text: &mut String, role: &Role, servers: &[&netbackup::Config]) {
    text.push_str("#\n");
    for server in servers {
        let _ =
            writeln!(text, "# site {:?}, {}", server.site, without_credentials(&server.base_url));
    }
    let longest = role.keys().map(|namespace| namespace.len()).max().unwrap_or_default();
    for (namespace, Grant { operations, collectors }) in role {
        let [operations, collectors] =
            [operations, collectors].map(|all| all.iter().copied().collect::<Vec<_>>().join(", "));
        let _ = writeln!(text, "#   {namespace:longest$}  {operations:17}  {collectors}");
    }
}

/// Quotes a text for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
