use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

struct Fixture {
    addr: SocketAddr,
    phase: watch::Sender<Phase>,
    _dir: tempfile::TempDir,
}

const WASM: &[u8] = b"\0asm\x01\0\0\0";

async fn start(with_metrics: bool) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("index.html", &b"<!doctype html>"[..]),
        ("chorus.js", b"export {}"),
        ("chorus.js.br", b"compressed"),
        ("chorus_web_bg.wasm", WASM),
        ("style-0123abcd.css", b"a{}"),
    ] {
        std::fs::write(dir.path().join(name), content).unwrap();
    }
    let (phase, phase_receiver) = watch::channel(Phase::Ready);
    let (_, addrs) = watch::channel(vec!["/ip4/127.0.0.1/tcp/9001/ws".parse().unwrap()]);
    let site = Arc::new(Site {
        network: "main".into(),
        peer_id: "12D3KooW".into(),
        addrs,
        phase: phase_receiver.clone(),
        page: Page::Directory(dir.path().to_path_buf()),
        metrics: Metrics::default(),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(serve(
        listener,
        site_router(site, with_metrics),
        phase_receiver,
        Counter::default(),
    ));
    Fixture {
        addr,
        phase,
        _dir: dir,
    }
}

impl Fixture {
    /// Sends a request with more header lines and returns head and body of the answer.
    async fn request(&self, first: &str, more: &str) -> (String, Vec<u8>) {
        let mut stream = tokio::net::TcpStream::connect(self.addr).await.unwrap();
        let request = format!("{first} HTTP/1.1\r\nHost: relay\r\n{more}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        (
            String::from_utf8(answer[..end].to_vec()).unwrap(),
            answer[end + 4..].to_vec(),
        )
    }

    async fn get(&self, path: &str) -> (String, Vec<u8>) {
        self.request(&format!("GET {path}"), "").await
    }
}

#[tokio::test]
async fn the_page_has_a_strict_policy_that_allows_wasm() {
    let relay = start(false).await;
    let (head, body) = relay.get("/").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(
        head.contains(
            "content-security-policy: default-src 'none'; script-src 'self' 'wasm-unsafe-eval'"
        ),
        "{head}"
    );
    assert!(
        head.contains("content-type: text/html; charset=utf-8"),
        "{head}"
    );
    assert!(head.contains("x-content-type-options: nosniff"), "{head}");
    assert!(head.contains("referrer-policy: no-referrer"), "{head}");
    assert!(!head.contains("access-control-allow-origin"), "{head}");
    assert_eq!(body, b"<!doctype html>");
}

#[tokio::test]
async fn other_sites_may_load_the_module_and_its_wasm() {
    let relay = start(false).await;
    for path in ["/chorus.js", "/chorus_web_bg.wasm", "/bootstrap.json"] {
        let (head, _) = relay.get(path).await;
        assert!(
            head.contains("access-control-allow-origin: *"),
            "{path}: {head}"
        );
        assert!(
            head.contains("cross-origin-resource-policy: cross-origin"),
            "{path}: {head}"
        );
    }
    let (head, body) = relay.get("/chorus_web_bg.wasm").await;
    assert!(
        head.contains("content-type: application/wasm\r\n"),
        "{head}"
    );
    assert_eq!(body, WASM);
}

#[tokio::test]
async fn a_known_version_is_not_sent_again_and_a_hashed_name_is_never_asked_for_again() {
    let relay = start(false).await;
    let (head, _) = relay.get("/chorus.js").await;
    assert!(head.contains("cache-control: no-cache"), "{head}");
    let etag = head
        .lines()
        .find_map(|line| line.strip_prefix("etag: "))
        .unwrap();
    let (head, body) = relay
        .request(
            "GET /chorus.js",
            &format!("If-None-Match: \"x\", W/{etag}\r\n"),
        )
        .await;
    assert!(head.starts_with("HTTP/1.1 304"), "{head}");
    assert!(body.is_empty());
    let (head, _) = relay.get("/style-0123abcd.css").await;
    assert!(head.contains("immutable"), "{head}");
}

#[tokio::test]
async fn brotli_is_sent_to_those_who_accept_it() {
    let relay = start(false).await;
    let (head, body) = relay
        .request("GET /chorus.js", "Accept-Encoding: gzip, br;q=0.8\r\n")
        .await;
    assert!(head.contains("content-encoding: br"), "{head}");
    assert!(head.contains("content-type: text/javascript"), "{head}");
    assert_eq!(body, b"compressed");
    let (head, body) = relay
        .request("GET /chorus.js", "Accept-Encoding: gzip, br;q=0\r\n")
        .await;
    assert!(!head.contains("content-encoding"), "{head}");
    assert_eq!(body, b"export {}");
}

#[tokio::test]
async fn the_bootstrap_document_names_network_peer_and_addresses() {
    let relay = start(false).await;
    let (head, body) = relay.get("/bootstrap.json").await;
    assert!(head.contains("content-type: application/json"), "{head}");
    assert_eq!(
        String::from_utf8(body).unwrap(),
        r#"{"network":"main","peer_id":"12D3KooW","addrs":["/ip4/127.0.0.1/tcp/9001/ws"]}"#
    );
}

#[test]
fn the_address_by_which_the_client_came_is_recognised() {
    let ip = |host: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        host_ip(&headers).map(|ip| ip.to_string())
    };
    assert_eq!(ip("192.0.2.2:8080").as_deref(), Some("192.0.2.2"));
    assert_eq!(ip("192.0.2.2").as_deref(), Some("192.0.2.2"));
    assert_eq!(ip("[::1]:8080").as_deref(), Some("::1"));
    assert_eq!(ip("[::1]").as_deref(), Some("::1"));
    assert_eq!(ip("relay.example:8080"), None);
    let addr = "/ip4/192.0.2.2/tcp/1/ws".parse().unwrap();
    assert!(has_ip(&addr, "192.0.2.2".parse().unwrap()));
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused() {
    let relay = start(false).await;
    for path in [
        "/nothing",
        "/../Cargo.toml",
        "/%2e%2e/Cargo.toml",
        "/metrics",
    ] {
        let (head, _) = relay.get(path).await;
        assert!(head.starts_with("HTTP/1.1 404"), "{path}: {head}");
        assert!(
            head.contains("x-content-type-options: nosniff"),
            "{path}: {head}"
        );
    }
    let (head, _) = relay
        .request("POST /bootstrap.json", "Content-Length: 0\r\n")
        .await;
    assert!(head.starts_with("HTTP/1.1 405"), "{head}");
}

#[tokio::test]
async fn readiness_ends_where_draining_begins_and_metrics_show_when_asked_for() {
    let relay = start(true).await;
    assert!(relay.get("/readyz").await.0.starts_with("HTTP/1.1 200"));
    let (head, body) = relay.get("/metrics").await;
    assert!(head.contains("application/openmetrics-text"), "{head}");
    assert!(body.ends_with(b"# EOF\n"));
    relay.phase.send_replace(Phase::Starting);
    assert!(relay.get("/readyz").await.0.starts_with("HTTP/1.1 503"));
    assert!(relay.get("/healthz").await.0.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn garbage_instead_of_http_harms_nobody() {
    let relay = start(false).await;
    let mut stream = tokio::net::TcpStream::connect(relay.addr).await.unwrap();
    stream.write_all(&[0xff; 4096]).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(relay.get("/healthz").await.0.starts_with("HTTP/1.1 200"));
}

#[test]
fn metrics_stay_off_a_public_listener() {
    let public = "0.0.0.0:80".parse().unwrap();
    let loopback = "127.0.0.1:80".parse().unwrap();
    assert!(metrics_beside_page(loopback, None));
    assert!(!metrics_beside_page(public, None));
    assert!(!metrics_beside_page(loopback, Some(loopback)));
}
