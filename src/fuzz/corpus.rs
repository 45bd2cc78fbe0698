//! The corpus: what the simulator answers to each collector, what these keep in a state directory, and texts.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::Request;
use nbu_sim::{Clock, Rows, Settings as Simulated, Simulator};
use rcgen::{CertificateParams, KeyPair};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::collectors::{Config, Settings, TABLE};
use crate::netbackup::{ApiVersion, Client, Config as ClientConfig};
use crate::slp::Links;
use crate::state::{self, StateDir};

/// Inputs by the name of the target.
type Corpus = BTreeMap<&'static str, Vec<Vec<u8>>>;

/// 2026-03-01T12:00:00Z.
const NOON: i64 = 1_772_366_400_000;

/// Longest input, bytes.
const MAX_LENGTH: usize = 16 * 1024;

/// Bytes before the content of a document: magic text and checksum.
const DOCUMENT_HEAD: usize = 20;

pub(super) fn corpus() -> &'static Corpus {
    static CORPUS: LazyLock<Corpus> = LazyLock::new(|| {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let mut corpus = texts();
        runtime.block_on(add_recorded(&mut corpus));
        corpus
    });
    &CORPUS
}

fn owned<T: AsRef<[u8]>>(inputs: impl IntoIterator<Item = T>) -> Vec<Vec<u8>> {
    inputs.into_iter().map(|input| input.as_ref().to_vec()).collect()
}

fn texts() -> Corpus {
    let configuration = owned([
        crate::config::example().as_str(),
        "KEY=k\nOTEL_SERVICE_NAME=x\0nbuservers: [{site: a, host: h, apiKey: \"${KEY}\"}]",
        "nbuservers:\n- &d {site: a, host: h, apiKey: k, insecureSkipVerify: true}\n- <<: *d\n  site: b\n",
        "nbuserver: {host: h, port: 1556, apiKey: '${SECRET}', cacheTTL: 5m}\nserver: {port: 2112}",
        "nbuservers: [{site: a, host: h, apiKey: k}]\nopentelemetry: {enabled: true, endpoint: 'c:4317', headers: {a: ${SECRET}}}",
        "server: {prot: 1}\nnbuservers:\n  - apikey: x\n\tsite: a\n",
    ]);
    let web_file = owned([
        "tls_server_config:\n  cert_file: a.pem\n  key_file: b.pem\n  client_auth_type: RequireAndVerifyClientCert\n  \
         client_ca_file: c.pem\n  client_allowed_sans: [a, b]\n  min_version: TLS12\n  cipher_suites: [TLS_AES_128_GCM_SHA256]\n",
        "basic_auth_users:\n  alice: $2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze\n  bob: Zx9SECRETzX\n",
        "tls_server_config: {cert: |\n  -----BEGIN CERTIFICATE-----\n  AAAA\n  -----END CERTIFICATE-----\n, key: Zx9SECRETzX}\n",
        "http_server_config: {http2: true, headers: {X-Frame-Options: deny, Zx9SECRETzX: a}}\nrate_limit: {interval: 1s, burst: 20}\n",
    ]);
    let dotenv = owned([
        "A=1\nexport B=\"two words\"\nC='$x'\nD=${A}$B\n# comment\nE=${F:-g}\n",
        "A=$B\nB=$A\nC=\"open\n",
        "A=$B$B\nB=$C$C\nC=$D$D\nD=1\n",
    ]);
    let timestamp = owned([
        "2018-06-25T19:00:38.407Z",
        "2018-06-25T19:00:38Z",
        "2018-06-25T21:00:38+02:00",
        "2018-06-25T19:00:38",
        "2016-12-31T23:59:60Z",
    ]);
    let paging = owned([
        "\u{9}{\"data\":[{},{}],\"meta\":{\"pagination\":{\"next\":5,\"count\":7,\"limit\":5,\"hasNext\":true}}}\0{\"data\":[{}]}",
        "\u{8}{\"data\":[{}],\"meta\":{\"pagination\":{\"next\":\"a\"}}}\0{\"data\":[{}],\"meta\":{\"pagination\":{\"next\":\"b\"}}}\0{\"data\":[]}",
        "\u{3}{\"data\":[{\"id\":1,\"meta\":{\"page\":{\"cursor\":\"c\"}}}]}\0{\"data\":[{\"id\":2}]}\0{\"data\":[]}",
        "\u{2}{\"data\":[{\"meta\":{\"page\":{\"cursor\":\"c\"}}}]}\0{\"data\":[]}",
    ]);
    let http_heads = owned([
        "GET /metrics HTTP/1.1\r\nhost: h\r\naccept-encoding: gzip;q=0.5\r\n\r\n",
        "HEAD / HTTP/1.1\r\nhost: h\r\n\r\nGET /health HTTP/1.0\r\n\r\n",
        "POST /-/reload HTTP/1.1\r\nhost: localhost\r\norigin: http://localhost\r\nsec-fetch-site: none\r\ncontent-length: 2\r\n\r\n{}",
        "PUT /-/reload HTTP/1.1\r\nhost: [::1]:1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        "GET http://h/metrics HTTP/1.1\r\nexpect: 100-continue\r\nupgrade: h2c\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]);
    let accept_encoding = owned([
        "gzip, deflate, br",
        "gzip;q=0.5, *;q=0\nidentity",
        "x-gzip ; Q=1.000",
        "*;q=0.001, identity;q=0",
    ]);
    let otlp_answers = owned([
        &b"\x00HTTP/1.1 429 X\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n"[..],
        b"\x00HTTP/1.1 401 X\r\n\r\nBearer t0k3n-0f-th3-fuzzing/with+more",
        b"\x01\x0a\x0b\x08\x07\x12\x07t0k3n\x1b[",
        b"\x04{\"partialSuccess\":{\"rejectedDataPoints\":\"7\",\"errorMessage\":\"x\"}}",
        b"\x19{\"partialSuccess\":{}}",
        b"\x1a\x08\x08\x12\x01m\x1a\x32\x0a\x28type.googleapis.com/google.rpc.RetryInfo\x12\x06\x0a\x04\x08\x07\x10\x01",
        b"\x02\x0a\x05\x08\x01\x12\x01x",
    ]);
    BTreeMap::from([
        ("configuration", configuration),
        ("web_file", web_file),
        ("dotenv", dotenv),
        ("timestamp", timestamp),
        ("paging", paging),
        ("http_heads", http_heads),
        ("accept_encoding", accept_encoding),
        ("otlp_answers", otlp_answers),
        ("pem", certificates()),
    ])
}

fn certificates() -> Vec<Vec<u8>> {
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::default().self_signed(&key).expect("a certificate");
    let (pem, key) = (certificate.pem(), key.serialize_pem());
    let trusted = pem.replace("CERTIFICATE", "TRUSTED CERTIFICATE");
    let json = serde_json::json!({ "cacert": [{ "certificate": pem }] }).to_string();
    let joined = format!("\u{feff}{}{pem}{key}", pem.trim_end());
    owned([pem.clone(), key.replace('\n', "\r\n"), trusted, json, joined, pem.replace('\n', "\\n")])
}

/// Runs each collector twice against a simulator, and adds what it was answered and what it kept.
async fn add_recorded(corpus: &mut Corpus) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = Simulated {
        clock: Clock::manual(NOON),
        jobs_in_history: 3,
        jobs_per_hour: 2.0,
        live_jobs: 1,
        clients: 2,
        policies: 2,
        storage_units: 2,
        rows: nbu_sim::fixtures()
            .flat_map(|fixture| fixture.rows)
            .fold(Rows::default(), |rows, list| rows.with(list.name, list.default.min(3))),
        ..Simulated::default()
    };
    let simulator = Simulator::start(settings).await.expect("a simulator");
    let recorder = Recorder::start(&simulator).await;
    let folder = tempfile::tempdir().expect("a directory");
    let kept = StateDir::open(folder.path()).expect("a state directory");
    let (config, links) = (Config::default(), Links::default());
    let window = Duration::from_secs(86_400);
    let settings = Settings { collectors: &config, window, state: Some(&kept), links: &links };
    let (mut collectors, mut pages) = (Vec::new(), Vec::new());
    for (number, row) in TABLE.iter().enumerate() {
        let mut collector = (row.build)(&settings);
        for _ in 0..2 {
            let session = recorder.client.with_deadline(Instant::now() + Duration::from_secs(30));
            let collected = collector.collect(&session).await;
            assert!(collected.is_ok(), "{}: {collected:?}", row.name);
            simulator.clock().advance(Duration::from_secs(3_600));
        }
        let answers = recorder.take();
        assert!(!answers.is_empty(), "{} asked nothing", row.name);
        let mut input = vec![u8::try_from(number).expect("a small table")];
        for answer in &answers {
            input.extend(answer.iter());
            input.push(0);
        }
        input.truncate(MAX_LENGTH);
        collectors.push(input);
        pages.extend(answers.iter().take(4).map(|answer| answer.to_vec()));
    }
    corpus.insert("collectors", collectors);
    corpus.insert("page", pages);
    add_kept(corpus, folder.path());
    simulator.stop().await;
}

/// A server on loopback that passes each request on to a simulator, and remembers the answers.
struct Recorder {
    client: Client,
    answers: Arc<Mutex<Vec<Bytes>>>,
}

impl Recorder {
    async fn start(simulator: &Simulator) -> Self {
        let answers = Arc::<Mutex<Vec<Bytes>>>::default();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let upstream = format!("http://{}", simulator.addr());
        let http = reqwest::Client::builder().no_proxy().no_gzip().build().expect("a client");
        let told = Arc::clone(&answers);
        let pass_on = move |request: Request| async move {
            let (head, body) = request.into_parts();
            let url = format!("{upstream}{}", head.uri);
            let body = to_bytes(body, MAX_LENGTH).await.expect("a body");
            let answer =
                http.request(head.method, url).headers(head.headers).body(body).send().await;
            let answer = answer.expect("the simulator answers");
            let (status, headers) = (answer.status(), answer.headers().clone());
            let body = answer.bytes().await.expect("a body");
            told.lock().expect("no panic").push(body.clone());
            (status, headers, body)
        };
        let router = Router::new().fallback(pass_on);
        tokio::spawn(async move { axum::serve(listener, router).await });
        let config = ClientConfig {
            site: "paris".to_owned(),
            base_url: format!("http://{address}/netbackup").parse().expect("an address"),
            api_key: SecretString::from(simulator.settings().api_key.clone()),
            api_version: Some(ApiVersion::new(13, 0)),
            allow_plain_text: false,
            insecure_skip_verify: false,
            fingerprints: Vec::new(),
            ca: None,
            roots: None,
            identity: None,
            proxy: None,
            timeout: Duration::from_secs(30),
            max_concurrent_requests: 4,
        };
        Self { client: Client::builder(config).build().expect("a client"), answers }
    }

    fn take(&self) -> Vec<Bytes> {
        std::mem::take(&mut *self.answers.lock().expect("no panic"))
    }
}

/// Adds the files of a state directory, and what is in them.
fn add_kept(corpus: &mut Corpus, folder: &Path) {
    let (mut ledger, mut documents) = (Vec::new(), vec![crate::telemetry::otlp::fuzz::saved()]);
    // Transactions of any bytes serve the journal as well.
    let mut files = owned([
        &b"\x01\xff\x00\x60\x00\x03abc\x05defgh\x01i"[..],
        b"\x01\x40\x00\xff\xff\x03abc\x05defgh",
    ]);
    for entry in fs::read_dir(folder).expect("the directory") {
        let path = entry.expect("an entry").path();
        let (Ok(content), name) = (fs::read(&path), path.to_string_lossy()) else { continue };
        if name.ends_with(".state") {
            let mut transactions = Vec::new();
            let take = |transaction: &[u8]| {
                let length = u16::try_from(transaction.len()).expect("a small ledger");
                transactions.extend(length.to_le_bytes());
                transactions.extend(transaction);
                Ok(())
            };
            state::read(&path, take).expect("a journal");
            ledger.push(transactions);
            files.push([&[0], &content[..]].concat());
        } else if name.ends_with(".saved") {
            let kind = u8::from(name.ends_with("disk_pools.saved"));
            documents.push([&[kind], &content[DOCUMENT_HEAD..]].concat());
            files.push([&[2], &content[..]].concat());
        } else if name.ends_with("instance-id") {
            files.push([&[3], &content[..]].concat());
        } else if name.ends_with(".site") {
            files.push([&[4], &content[..]].concat());
        }
    }
    assert!(!ledger.is_empty() && documents.len() > 1, "the collectors kept too little");
    corpus.insert("ledger", ledger);
    corpus.insert("documents", documents);
    corpus.insert("state_files", files);
}
