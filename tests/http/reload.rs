//! POST /-/reload: who may ask, and what is answered.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use nbu_otel_agent::http::{Bound, Server};
use nbu_otel_agent::reload::{ReloadAnswer, ReloadRequest, Verdict};
use reqwest::Method;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

use crate::support::process::port as free_port;
use crate::support::{PATIENCE, http_client};
use crate::{Switch, listen, state_with};

struct Endpoint {
    server: Server,
    settings: Arc<Switch>,
    requests: mpsc::Receiver<ReloadRequest>,
    url: String,
}

fn serve() -> Endpoint {
    let settings = Arc::<Switch>::default();
    let (state, requests) = state_with(Arc::clone(&settings));
    let bound = Bound::bind(&listen("127.0.0.1", free_port())).unwrap();
    let url = format!("http://{}/-/reload", bound.address());
    Endpoint { server: bound.serve(state), settings, requests, url }
}

impl Endpoint {
    fn request(&self, method: Method) -> reqwest::RequestBuilder {
        http_client().request(method, &self.url)
    }

    /// Answers the next request as a supervisor would.
    async fn answer(&mut self, verdict: Result<ReloadAnswer, String>) {
        let request = tokio::time::timeout(PATIENCE, self.requests.recv());
        let request = request.await.expect("a request arrives").unwrap();
        let _ = request.reply.send(verdict);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_answers_with_the_verdict() {
    let mut endpoint = serve();
    let applied = ReloadAnswer {
        result: Verdict::Applied,
        changes: json!([{"site": "paris", "change": "added"}]),
    };
    let unchanged = ReloadAnswer { result: Verdict::Unchanged, changes: json!([]) };
    for (method, verdict, status, body) in [
        (
            Method::POST,
            Ok(applied),
            200,
            r#"{"result":"applied","changes":[{"change":"added","site":"paris"}]}"#,
        ),
        (Method::PUT, Ok(unchanged), 200, r#"{"result":"unchanged","changes":[]}"#),
        (
            Method::POST,
            Err("config.yaml:3:9: server.port: expected".into()),
            400,
            "config.yaml:3:9: server.port: expected\n",
        ),
    ] {
        let request = endpoint.request(method).body("ignored").send();
        let (response, ()) = tokio::join!(request, endpoint.answer(verdict));
        let response = response.unwrap();
        assert_eq!(response.status(), status);
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        assert_eq!(kind.starts_with("application/json"), status == 200, "{kind}");
        let text = response.text().await.unwrap();
        if status == 200 {
            let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            assert_eq!(json(&text), json(body));
        } else {
            assert_eq!(text, body);
        }
    }
    endpoint.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_get_405_with_allow() {
    let endpoint = serve();
    for method in [Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS] {
        let response = endpoint.request(method).send().await.unwrap();
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "POST, PUT");
    }
    assert_eq!(endpoint.requests.len(), 0, "none of them reloads");
    endpoint.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_is_served_only_while_lifecycle_is_enabled() {
    let mut endpoint = serve();
    endpoint.settings.reloads_are_off.store(true, Relaxed);
    let response = endpoint.request(Method::POST).send().await.unwrap();
    assert_eq!(response.status(), 403);
    assert!(response.text().await.unwrap().contains("server.lifecycle"));
    assert_eq!(endpoint.requests.len(), 0);
    endpoint.settings.reloads_are_off.store(false, Relaxed);
    let request = endpoint.request(Method::POST).send();
    let (response, ()) = tokio::join!(request, endpoint.answer(Err("wrong".into())));
    assert_eq!(response.unwrap().status(), 400, "a change needs no new listener");
    endpoint.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_cannot_reload() {
    let mut endpoint = serve();
    let own = endpoint.url.strip_suffix("/-/reload").unwrap().to_owned();
    for fields in [
        &[("origin", "http://evil.example.com")][..],
        &[("origin", "http://127.0.0.1:1")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        // A name of somebody else that resolves to this machine.
        &[("host", "evil")],
        &[("host", "evil"), ("origin", "http://evil")],
        &[("host", "evil:9440"), ("origin", "http://evil:9440"), ("sec-fetch-site", "same-origin")],
    ] {
        let mut request = endpoint.request(Method::POST);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        assert_eq!(request.send().await.unwrap().status(), 403, "{fields:?}");
    }
    assert_eq!(endpoint.requests.len(), 0);
    let request = endpoint.request(Method::POST);
    let request = request.header("origin", own).header("sec-fetch-site", "same-origin").send();
    let (response, ()) = tokio::join!(request, endpoint.answer(Err("wrong".into())));
    assert_eq!(response.unwrap().status(), 400, "the endpoint's own pages can");
    for host in ["localhost", "localhost.:19440", "[::1]:9440"] {
        let request = endpoint.request(Method::POST).header("host", host).send();
        let (response, ()) = tokio::join!(request, endpoint.answer(Err("wrong".into())));
        assert_eq!(response.unwrap().status(), 400, "{host}, through a tunnel for example");
    }
    endpoint.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_during_shutdown_gets_503() {
    let mut endpoint = serve();
    let request = endpoint.request(Method::POST).send();
    let gives_up = async { drop(endpoint.requests.recv().await) };
    let (response, ()) = tokio::join!(request, gives_up);
    assert_eq!(response.unwrap().status(), 503, "taken, and dropped");
    endpoint.requests.close();
    let response = endpoint.request(Method::POST).send().await.unwrap();
    assert_eq!(response.status(), 503, "taken by nobody");
    assert!(response.text().await.unwrap().contains("shutting down"));
    endpoint.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_is_done_even_if_client_disconnects() {
    let mut endpoint = serve();
    let address = endpoint.url.trim_start_matches("http://").trim_end_matches("/-/reload");
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!("POST /-/reload HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let request = tokio::time::timeout(PATIENCE, endpoint.requests.recv()).await.unwrap().unwrap();
    drop(client);
    // The supervisor has it, and goes on whether or not somebody waits.
    let _ = request.reply.send(Err("wrong".into()));
    let request = endpoint.request(Method::POST).send();
    let (response, ()) = tokio::join!(request, endpoint.answer(Err("wrong".into())));
    assert_eq!(response.unwrap().status(), 400);
    endpoint.server.stop().await;
}
