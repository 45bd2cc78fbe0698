//! Files: the configuration itself, `.env`, keys and certificates.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use std::sync::Arc;
use std::time::{Duration, Instant};

use nbu_otel_agent::config::{
    Environment, Loaded, all_match, effective, fingerprint, from_text, load,
};
use secrecy::ExposeSecret as _;

use super::with_server;

fn nothing(_: &str) -> Option<String> {
    None
}

/// A key for this test alone.
const P521_KEY: &str = "-----BEGIN EC PRIVATE KEY-----\n\
MIHcAgEBBEIAdsyAgt2nvBPH1hJqGTpI55moNTQ2gKUhdi5e3l9QJ8IdLb5zEV/s\n\
ZD0wh2a59ahBLUM1RtFTfrmteobU28tkxbygBwYFK4EEACOhgYkDgYYABAD708vx\n\
T6jXSsQQys3d5w8gPTBn/nPJwIKbw4zrKlCnxHIbYTDHGhENV2cLLn1CBbyVZh3i\n\
MfWiHg16BgCKNzZFBQFq72pbHVfg+y+bJxX5PhcANtN8ET4kWQ1cTye2CSuPYNYe\n\
YFjAnyP4gDihux3CWDCrBDQz9LgmpBe2UAEkwJv/ng==\n\
-----END EC PRIVATE KEY-----\n\n";

/// Writes a CA, a certificate with its key in the same file, and the key.
fn write_pems(dir: &Path) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    fs::write(dir.join("ca.pem"), &certificate).unwrap();
    fs::write(dir.join("cert.pem"), format!("{}{certificate}", key.serialize_pem())).unwrap();
    fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
    key.serialize_pem()
}

/// A configuration that uses every file there is.
pub(crate) fn with_files(dir: &Path) -> Loaded {
    write_pems(dir);
    fs::write(dir.join("key"), " key-of-a \n").unwrap();
    fs::write(dir.join(".env"), "KEY=key-of-b\nPATHLIKE='$x'\n").unwrap();
    let hash = "$2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze";
    fs::write(dir.join("users"), format!("a:{hash}\n")).unwrap();
    fs::write(dir.join("tokens"), "SECRET-3\nSECRET-4\n").unwrap();
    fs::write(dir.join("token"), "SECRET-5\n").unwrap();
    let tls = "caFile: ca.pem, certFile: cert.pem, keyFile: key.pem";
    let text = format!(
        "server:\n  web:\n    tls: {{certFile: cert.pem, keyFile: key.pem, clientCaFile: ca.pem, clientAllowedSans: [s]}}\n    \
             usersFile: users\n    bearerTokenFile: tokens\n    reloadTokenFile: token\n    headers: {{X-Frame-Options: deny}}\n  \
           health: {{port: 9441}}\n\
         nbuservers:\n- {{site: a, host: h, apiKeyFile: key, {tls}, proxyUrl: 'http://p:1'}}\n- {{site: b, host: h, apiKey: '${{KEY}}'}}\n\
         opentelemetry: {{enabled: true, endpoint: 'c:4317', tls: {{{tls}}}}}\n\
         sharding: {{shard: 0, shards: 1}}\nstate: {{directory: kept}}\n"
    );
    let path = dir.join("config.yaml");
    fs::write(&path, text).unwrap();
    load(&path, &nothing).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn files_are_read_and_listed() {
    let dir = tempfile::tempdir().unwrap();
    let loaded = with_files(dir.path());
    let [a, b] = &loaded.config.servers[..] else { panic!("two servers") };
    assert_eq!(a.api_key.expose_secret(), "key-of-a");
    assert_eq!(b.api_key.expose_secret(), "key-of-b");
    let key_file = format!("apiKeyFile: {:?}", dir.path().join("key"));
    assert!(effective(&loaded.config).contains(&key_file));
    let mut names: Vec<_> =
        loaded.files.keys().map(|f| f.file_name().unwrap().to_str().unwrap()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(
        names,
        [".env", "ca.pem", "cert.pem", "config.yaml", "key", "key.pem", "token", "tokens", "users"]
    );
    assert_eq!(loaded.sha256.len(), 64);
    // A private key beside the certificate must not end up where `Debug` shows it.
    let pem = &a.identity.as_ref().unwrap().certificate.pem;
    assert!(!String::from_utf8_lossy(pem).contains("PRIVATE"));
}

#[test]
fn files_that_cannot_be_used_are_told_without_their_content() {
    let dir = tempfile::tempdir().unwrap();
    let secret = write_pems(dir.path());
    fs::write(dir.path().join("empty"), " \n").unwrap();
    fs::write(dir.path().join("binary"), b"\xFF\x00").unwrap();
    fs::write(dir.path().join("cut.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
    let text = "nbuservers:
- {site: a, host: h, apiKeyFile: empty}
- {site: b, host: h, apiKeyFile: binary}
- {site: c, host: h, apiKeyFile: TheKeyItself}
- {site: d, host: h, apiKeyFile: .}
- {site: e, host: h, apiKey: k, caFile: key.pem}
- {site: f, host: h, apiKey: k, certFile: cut.pem, keyFile: ca.pem}
- {site: g, host: h, apiKey: k, keyFile: key.pem}
";
    let errors = from_text(text, &dir.path().join("config.yaml"), &nothing).unwrap_err();
    assert_eq!(errors.files.len(), 7, "each once");
    assert_eq!(errors.files[&dir.path().join("TheKeyItself")], None);
    let text = errors.to_string().replace(&format!("{}/", dir.path().display()), "/dir/");
    let body: Vec<_> = secret.lines().filter(|line| !line.starts_with('-')).collect();
    assert!(body.iter().all(|line| !text.contains(line)) && !text.contains("TheKeyItself"));
    insta::assert_snapshot!(text);
}

#[test]
fn joined_certificates_are_all_kept() {
    let dir = tempfile::tempdir().unwrap();
    write_pems(dir.path());
    let one = fs::read_to_string(dir.path().join("ca.pem")).unwrap();
    let joined = format!("\u{feff}{}{one}", one.trim_end());
    fs::write(dir.path().join("joined.pem"), joined).unwrap();
    let text = "nbuservers: [{site: a, host: h, apiKey: k, caFile: joined.pem}]";
    let loaded = from_text(text, &dir.path().join("config.yaml"), &nothing).unwrap();
    let pem = &loaded.config.servers[0].ca.as_ref().unwrap().pem;
    assert_eq!(String::from_utf8_lossy(pem).matches("BEGIN CERTIFICATE").count(), 2);
}

#[test]
fn p521_key_is_an_error_that_names_alternatives() {
    // What openssl ecparam -name secp521r1 -genkey makes: ring signs with none of them.
    let dir = tempfile::tempdir().unwrap();
    write_pems(dir.path());
    fs::write(dir.path().join("p521.pem"), P521_KEY).unwrap();
    let text = "nbuservers: [{site: a, host: h, apiKey: k, certFile: cert.pem, keyFile: p521.pem}]";
    let errors = from_text(text, &dir.path().join("config.yaml"), &nothing).unwrap_err();
    let text = errors.to_string();
    assert!(text.contains("P-521") && text.contains("P-256 or P-384"), "{text}");
}

#[test]
fn unusable_configuration_file_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let message = |name: &str, content: Option<&[u8]>| {
        let path = dir.path().join(name);
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        let errors = load(&path, &nothing).unwrap_err();
        assert!(errors.files.contains_key(&path));
        errors.to_string().replace(&format!("{}/", dir.path().display()), "")
    };
    let messages = [
        message("missing.yaml", None),
        message("", None),
        message("latin1.yaml", Some(b"server:\n  host: \xE9\n")),
        message("utf16.yaml", Some(b"\xFF\xFEs\x00")),
        message("huge.yaml", Some(&vec![b'#'; (4 << 20) + 1])),
    ];
    insta::assert_snapshot!(messages.join("\n"));
}

/// Loads a configuration whose only key is `${KEY}`, with this `.env` beside it.
fn with_dotenv(dotenv: &str) -> Result<String, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.yaml");
    fs::write(&path, with_server("").replace("apiKey: k", "apiKey: ${KEY}")).unwrap();
    fs::write(dir.path().join(".env"), dotenv).unwrap();
    match load(&path, &nothing) {
        Ok(loaded) => Ok(loaded.config.servers[0].api_key.expose_secret().to_owned()),
        Err(errors) => Err(errors.to_string().replace(&format!("{}/", dir.path().display()), "")),
    }
}

#[test]
fn dotenv_lines_of_other_programs_are_ignored() {
    let foreign = "OTHER=has space\nFOO-BAR=1\nK={\"a\": \"b\"}\nSECRET without equals\nX=\"open\n";
    for dotenv in [format!("{foreign}KEY=k1\n"), format!("KEY=k1\n{foreign}")] {
        assert_eq!(with_dotenv(&dotenv), Ok("k1".to_owned()));
    }
}

#[test]
fn dotenv_value_with_unset_variable_is_an_error_where_referenced() {
    assert_eq!(with_dotenv("KEY=${A}\nA=k2\nB=${UNSET}\n"), Ok("k2".to_owned()));
    assert_eq!(with_dotenv("KEY=a$$b\n"), Ok("a$b".to_owned()));
    let told = with_dotenv("A=1\nKEY=x${UNSET}\n").unwrap_err();
    assert_eq!(
        told,
        ".env:2:1: KEY: environment variable not set: UNSET; write $$ for a dollar sign"
    );
    let told = with_dotenv("KEY=two words\n").unwrap_err();
    assert_eq!(told, ".env:1:1: KEY: expected NAME=value; quote values with spaces");
}

#[test]
fn world_writable_files_are_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    with_files(dir.path());
    let path = |name: &str| dir.path().join(name);
    for name in ["config.yaml", "key", "key.pem", "users", "tokens", "token"] {
        fs::set_permissions(path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    assert_eq!(super::warnings(&load(&path("config.yaml"), &nothing).unwrap()), "");
    for (name, place) in [("config.yaml", ""), (".env", ""), ("key", "nbuservers[0].apiKeyFile")] {
        fs::set_permissions(path(name), fs::Permissions::from_mode(0o602)).unwrap();
        let warnings = load(&path("config.yaml"), &nothing).unwrap().warnings;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].message.contains("chmod o-w"), "{}", warnings[0]);
        assert_eq!(warnings[0].path, place);
        fs::set_permissions(path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn world_readable_key_file_is_a_warning() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.yaml");
    let warnings = |text: &str, mode| {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let env = |name: &str| (name == "K").then(|| "k".to_owned());
        load(&path, &env).unwrap().warnings
    };
    let literal = with_server("server: { host: localhost }");
    assert_eq!(warnings(&literal, 0o600), []);
    assert_eq!(warnings(&literal, 0o644)[0].position.unwrap().line, 4);
    let expanded = literal.replace("apiKey: k", "apiKey: ${K}");
    assert_eq!(warnings(&expanded, 0o644), []);
}

#[test]
fn each_file_is_noted_as_it_was_read() {
    let dir = tempfile::tempdir().unwrap();
    let loaded = with_files(dir.path());
    let path = |name: &str| dir.path().join(name);
    for name in ["config.yaml", ".env", "key", "ca.pem", "cert.pem", "key.pem"] {
        assert_eq!(loaded.files[&path(name)], fingerprint(&path(name)), "{name}");
        assert!(loaded.files[&path(name)].is_some(), "{name}");
    }
    let digest = loaded.files[&path("config.yaml")].unwrap();
    let digits = format!("{digest:02x?}").replace(['[', ']', ',', ' '], "");
    assert_eq!(loaded.sha256, digits, "the identity is what sha256sum says of the file");
    let elsewhere = std::env::current_dir().unwrap().join(".env");
    assert!(!loaded.files.contains_key(&elsewhere), "the working directory is anybody's");
    assert!(loaded.files.keys().all(|path| path.is_absolute()));
    assert!(all_match(&loaded.files));
    fs::write(path("key"), "another").unwrap();
    assert!(!all_match(&loaded.files));
}

#[test]
fn missing_dotenv_is_watched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.yaml");
    fs::write(&path, with_server("    domain: ${LATER:-x}\n")).unwrap();
    let loaded = load(&path, &nothing).unwrap();
    assert_eq!(loaded.files[&dir.path().join(".env")], None);
    assert!(all_match(&loaded.files));
    fs::write(dir.path().join(".env"), "LATER=y\n").unwrap();
    assert!(!all_match(&loaded.files), "its coming is a change");
}

#[test]
fn file_that_changes_while_read_is_reread() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.yaml");
    let text = |host: &str| format!("nbuserver: {{host: {host}, apiKey: '${{KEY}}'}}\n");
    let reads = std::cell::Cell::new(0);
    // A variable is asked for once the file was read: in that moment it is saved anew.
    let saving = |name: &str| {
        reads.set(reads.get() + 1);
        if reads.get() == 1 {
            fs::write(&path, text("new")).unwrap();
        }
        (name == "KEY").then(|| "k".to_owned())
    };
    fs::write(&path, text("old")).unwrap();
    let loaded = load(&path, &saving).unwrap();
    assert_eq!(loaded.config.servers[0].site, "new");
    assert_eq!(loaded.files[&path], fingerprint(&path));
    // The same for what is wrong: half a file is no verdict on the whole.
    reads.set(0);
    fs::write(&path, format!("{}nonsense: 1\n", text("half"))).unwrap();
    assert_eq!(load(&path, &saving).unwrap().config.servers[0].site, "new");
}

#[test]
fn file_that_keeps_changing_is_read_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.yaml");
    let text = |step: u32| format!("# {step}\nnbuserver: {{host: h, apiKey: '${{KEY}}'}}\n");
    let steps = std::cell::Cell::new(0);
    let restless = |name: &str| {
        steps.set(steps.get() + 1);
        fs::write(&path, text(steps.get())).unwrap();
        (name == "KEY").then(|| "k".to_owned())
    };
    fs::write(&path, text(0)).unwrap();
    let started = Instant::now();
    assert!(load(&path, &restless).is_ok());
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(steps.get() > 1, "it was tried again");
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_are_refused_and_not_waited_for() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let path = dir.path().join("config.yaml");
    fs::write(
        &path,
        "nbuservers:\n- {site: a, host: h, apiKeyFile: pipe}\n- {site: b, host: h, apiKey: k, caFile: /dev/zero}\n",
    )
    .unwrap();
    let (sender, verdicts) = std::sync::mpsc::channel();
    for path in [path, pipe] {
        let sender = sender.clone();
        std::thread::spawn(move || sender.send(load(&path, &nothing).unwrap_err().to_string()));
    }
    for _ in 0..2 {
        let errors = verdicts.recv_timeout(Duration::from_secs(20)).expect("it does not block");
        assert!(errors.contains("is not a regular file"), "{errors}");
    }
}

#[tokio::test]
async fn loading_can_run_on_a_blocking_thread() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.yaml");
    fs::write(&path, "nbuserver: {host: '${HOST}', apiKey: k}\n").unwrap();
    let env: Arc<dyn Environment + Send + Sync> =
        Arc::new(|name: &str| (name == "HOST").then(|| "h".to_owned()));
    let loaded = tokio::task::spawn_blocking(move || load(&path, env.as_ref())).await.unwrap();
    assert_eq!(loaded.unwrap().config.servers[0].site, "h");
}

#[test]
fn ipv6_over_https_through_a_proxy_is_an_error() {
    let check = |text: &str, variables: &[(&str, &str)]| {
        let environment = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        from_text(text, Path::new("/dir/config.yaml"), &environment).map_err(|it| it.to_string())
    };
    let site = "nbuservers: [{site: a, host: '2001:db8::1', apiKey: k, caFile: none}]";
    let site = site.replace(", caFile: none", ", insecureSkipVerify: true");
    let proxied = site.replace("apiKey: k", "apiKey: k, proxyUrl: 'http://me:hush@proxy:3128'");
    let told = check(&proxied, &[]).unwrap_err();
    assert!(
        told.contains("nbuservers[0].host") && told.contains("proxy:3128 (proxyUrl)"),
        "{told}"
    );
    assert!(!told.contains("hush"), "{told}");
    let variable = ("HTTPS_PROXY", "http://me:hush@proxy:3128");
    let told = check(&site, &[variable]).unwrap_err();
    assert!(told.contains("proxy:3128 (HTTPS_PROXY)") && !told.contains("hush"), "{told}");
    assert!(check(&site, &[variable, ("NO_PROXY", "2001:db8::/32")]).is_ok());
    assert!(
        check(&site.replace("apiKey", "scheme: http, apiKey"), &[("HTTP_PROXY", "p:1")]).is_ok()
    );
    let push =
        "\nopentelemetry: {enabled: true, endpoint: 'https://[2001:db8::2]:4318', protocol: P}";
    let push = format!("{}{push}", site.replace("'2001:db8::1'", "10.0.0.1"));
    let told = check(&push.replace(": P}", ": http/protobuf}"), &[variable]).unwrap_err();
    assert!(told.contains("opentelemetry") && told.contains("(HTTPS_PROXY)"), "{told}");
    assert!(
        check(&push.replace(": P}", ": grpc}"), &[variable]).is_ok(),
        "gRPC makes its own tunnel"
    );
}

#[test]
fn environment_proxy_is_chosen_per_server_and_receiver() {
    let text = "nbuservers:
- {site: a, host: a.example.com, apiKey: k, insecureSkipVerify: true}
- {site: b, host: b.example.com, apiKey: k, insecureSkipVerify: true}
- {site: c, host: b.example.com, apiKey: k, insecureSkipVerify: true, proxyUrl: 'http://own:1'}
opentelemetry: {enabled: true, endpoint: 'http://c.example.com:4317'}
";
    let environment = |name: &str| match name {
        "HTTPS_PROXY" => Some("http://proxy:3128".to_owned()),
        "HTTP_PROXY" => Some("socks5://proxy:1080".to_owned()),
        "ALL_PROXY" => Some("http://all:3128".to_owned()),
        "NO_PROXY" => Some("b.example.com:1556".to_owned()),
        _ => None,
    };
    let loaded = from_text(text, Path::new("/dir/config.yaml"), &environment).unwrap();
    let shown = |proxy: &Option<nbu_otel_agent::net::proxy::Proxy>| {
        proxy.as_ref().map(|proxy| (proxy.display.clone(), proxy.variable))
    };
    let proxies: Vec<_> = loaded.config.servers.iter().map(|server| shown(&server.proxy)).collect();
    let expected = [Some(("proxy:3128", Some("HTTPS_PROXY"))), None, Some(("own:1", None))];
    let expected = expected.map(|it| it.map(|(shown, variable)| (shown.to_owned(), variable)));
    assert_eq!(proxies, expected);
    let push = loaded.config.otlp.as_ref().unwrap();
    assert_eq!(shown(&push.metrics_to.proxy), Some(("all:3128".to_owned(), Some("ALL_PROXY"))));
    let warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
    let told =
        warnings.iter().filter(|it| it.contains("HTTP_PROXY") && it.contains("SOCKS")).count();
    assert_eq!(told, 1, "{warnings:?}");
    let effective = nbu_otel_agent::config::effective(&loaded.config);
    assert_eq!(effective.matches("proxyUrl").count(), 1, "{effective}");
}

/// Sets the mode of a file or a directory.
fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn key_that_everybody_can_read_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    write_pems(dir.path());
    fs::write(dir.path().join("key"), "the-key").unwrap();
    let text = "server: {host: localhost}
nbuservers:
- {site: a, host: h, apiKeyFile: key, caFile: ca.pem, certFile: cert.pem, keyFile: key.pem}
opentelemetry: {enabled: true, endpoint: 'c:4317', tls: {certFile: cert.pem, keyFile: key.pem}}
";
    let warnings = |mode: u32, closed: bool| {
        for name in ["key", "key.pem"] {
            set_mode(&dir.path().join(name), mode);
        }
        set_mode(dir.path(), if closed { 0o750 } else { 0o755 });
        let loaded = from_text(text, &dir.path().join("config.yaml"), &nothing).unwrap();
        let texts: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
        texts.join("\n").replace(&format!("{}/", dir.path().display()), "/dir/")
    };
    for mode in [0o400, 0o600, 0o640, 0o660] {
        assert_eq!(warnings(mode, false), "", "{mode:o}");
    }
    assert_eq!(warnings(0o644, true), "", "the directory is closed to others");
    let open = warnings(0o644, false);
    let of = |key: &str, name: &str| {
        format!("{key}: everybody can read the secret in /dir/{name}: chmod o-r /dir/{name}")
    };
    for warning in [
        of("nbuservers[0].apiKeyFile", "key"),
        of("nbuservers[0].keyFile", "key.pem"),
        of("opentelemetry.tls.keyFile", "key.pem"),
    ] {
        assert!(open.contains(&warning), "{warning} in\n{open}");
    }
    assert_eq!(open.lines().count(), 3, "{open}");
}

#[test]
fn open_key_of_a_kubernetes_secret_names_its_default_mode() {
    let dir = tempfile::tempdir().unwrap();
    set_mode(dir.path(), 0o755);
    let moment = dir.path().join("..2026_01_01");
    fs::create_dir(&moment).unwrap();
    set_mode(&moment, 0o755);
    fs::write(moment.join("key"), "the-key").unwrap();
    std::os::unix::fs::symlink("..2026_01_01", dir.path().join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/key", dir.path().join("key")).unwrap();
    let text = "server: {host: localhost}\nnbuservers: [{site: a, host: h, apiKeyFile: key}]";
    let warnings = |mode: u32| {
        set_mode(&moment.join("key"), mode);
        from_text(text, &dir.path().join("config.yaml"), &nothing).unwrap().warnings
    };
    assert!(warnings(0o440).is_empty());
    let open = warnings(0o644);
    assert_eq!(open.len(), 1, "{open:?}");
    assert!(open[0].to_string().contains("set defaultMode: 0400"), "{}", open[0]);
}
