//! How a relay or a headless peer finds its first neighbours: a multiaddr, or the URL of a relay whose
//! `/bootstrap.json` lists some.
//!
//! The HTTP client here fetches one small document and nothing else: no redirects, no compression, no TLS.

use std::{fmt, str::FromStr, time::Duration};

use libp2p::{Multiaddr, multiaddr::Protocol};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// One entry of the bootstrap list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Bootstrap {
    /// An address that ends in `/p2p/<peer id>`.
    Addr(Multiaddr),
    /// A relay's HTTP address.
    Url(Url),
}

/// `http://host[:port][/path]`, the part of a URL that this client understands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Url {
    host: String,
    port: u16,
    path: String,
}

/// What a relay serves at `/bootstrap.json`. Source: contract.md, "chorus-relay".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct BootstrapDocument {
    /// Network name.
    pub(crate) network: String,
    /// The relay's peer id, base58.
    pub(crate) peer_id: String,
    /// Its multiaddrs, each ending in `/p2p/<peer_id>`, best first.
    pub(crate) addrs: Vec<String>,
}

/// Why an entry does not parse or a document could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum BootstrapError {
    /// Neither a multiaddr nor a URL.
    #[error("{0}")]
    Addr(#[from] libp2p::multiaddr::Error),
    /// A multiaddr without the peer id, which authenticates whoever answers.
    #[error("the multiaddr does not end in /p2p/<peer id>")]
    NoPeerId,
    /// A URL that this client cannot fetch.
    #[error("URL must be http://HOST[:PORT][/PATH], got {url:?}: {reason}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Connecting, sending or receiving.
    #[error("{url}: {source}")]
    Io {
        /// The URL.
        url: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// No whole answer in time.
    #[error("{url}: no answer within {} s", FETCH_TIMEOUT.as_secs())]
    Timeout {
        /// The URL.
        url: String,
    },
    /// An answer other than 200, or not HTTP.
    #[error("{url}: expected HTTP status 200, got {status:?}")]
    Status {
        /// The URL.
        url: String,
        /// The first line of the answer, at most 64 characters of it.
        status: String,
    },
    /// An answer above the bound.
    #[error("{url}: answer must be at most {MAX_ANSWER_BYTES} bytes")]
    TooLarge {
        /// The URL.
        url: String,
    },
    /// An answer that is not a bootstrap document.
    #[error("{url}: not a bootstrap document: {message}")]
    Document {
        /// The URL.
        url: String,
        /// What is missing.
        message: String,
    },
    /// A relay of another network.
    #[error("{url}: the relay serves network {theirs:?}, this peer is in {ours:?}")]
    Network {
        /// The URL.
        url: String,
        /// Our network name.
        ours: String,
        /// The relay's network name.
        theirs: String,
    },
}

impl FromStr for Bootstrap {
    type Err = BootstrapError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains("://") {
            return text.parse().map(Self::Url);
        }
        let addr: Multiaddr = text.parse()?;
        match addr.iter().last() {
            Some(Protocol::P2p(_)) => Ok(Self::Addr(addr)),
            _ => Err(BootstrapError::NoPeerId),
        }
    }
}

impl fmt::Display for Bootstrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addr(addr) => addr.fmt(f),
            Self::Url(url) => url.fmt(f),
        }
    }
}

impl Bootstrap {
    /// The addresses that this entry stands for now; a URL is fetched.
    ///
    /// # Errors
    /// The URL cannot be fetched, or its relay is in another network than `network`.
    pub(crate) async fn resolve(&self, network: &str) -> Result<Vec<Multiaddr>, BootstrapError> {
        match self {
            Self::Addr(addr) => Ok(vec![addr.clone()]),
            Self::Url(url) => {
                let document = url.bootstrap_document().await?;
                if document.network != network {
                    return Err(BootstrapError::Network {
                        url: url.to_string(),
                        ours: network.into(),
                        theirs: document.network,
                    });
                }
                document
                    .multiaddrs()
                    .map_err(|message| BootstrapError::Document {
                        url: url.to_string(),
                        message,
                    })
            }
        }
    }
}

impl BootstrapDocument {
    /// The addresses that parse and carry the document's own peer id, at most 16.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn multiaddrs(&self) -> Result<Vec<Multiaddr>, String> {
        let addrs: Vec<_> = self
            .addrs
            .iter()
            .take(MAX_ADDRS)
            .filter_map(|text| text.parse::<Multiaddr>().ok())
            .filter(|addr| matches!(addr.iter().last(), Some(Protocol::P2p(id)) if id.to_string() == self.peer_id))
            .collect();
        if addrs.is_empty() {
            return Err(format!(
                "none of its {} addrs ends in /p2p/{}",
                self.addrs.len(),
                self.peer_id
            ));
        }
        Ok(addrs)
    }
}

impl FromStr for Url {
    type Err = BootstrapError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |reason| BootstrapError::Url {
            url: text.chars().take(128).collect(),
            reason,
        };
        let rest = text.strip_prefix("http://").ok_or_else(|| {
            refuse(if text.starts_with("https://") {
                "https is not spoken here; give the relay's multiaddr (/dns4/HOST/tcp/443/wss/p2p/…)"
            } else {
                "not http"
            })
        })?;
        let (authority, path) = rest.split_once('/').map_or((rest, ""), |(a, p)| (a, p));
        if authority.contains('@') {
            return Err(refuse("user names are not supported"));
        }
        if path.contains(['?', '#']) || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(refuse("query, fragment and white space are not supported"));
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (
                host,
                port.parse()
                    .map_err(|_| refuse("the port is not in 1..=65535"))?,
            ),
            _ => (authority, 80),
        };
        if host.is_empty() || port == 0 {
            return Err(refuse("host or port is missing"));
        }
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_string(),
            port,
            path: path.trim_end_matches('/').to_string(),
        })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority())?;
        if !self.path.is_empty() {
            write!(f, "/{}", self.path)?;
        }
        Ok(())
    }
}

impl Url {
    /// The same relay's `/<name>`.
    pub(crate) fn join(&self, name: &str) -> Self {
        let path = if self.path.is_empty() {
            name.to_string()
        } else {
            format!("{}/{name}", self.path)
        };
        Self {
            path,
            ..self.clone()
        }
    }

    /// Fetches the relay's `/bootstrap.json`.
    ///
    /// # Errors
    /// No answer, another status than 200, or not a bootstrap document.
    pub(crate) async fn bootstrap_document(&self) -> Result<BootstrapDocument, BootstrapError> {
        let url = if self.path.ends_with(".json") {
            self.clone()
        } else {
            self.join("bootstrap.json")
        };
        let body = url.get().await?;
        serde_json::from_slice(&body).map_err(|error| BootstrapError::Document {
            url: url.to_string(),
            message: error.to_string(),
        })
    }

    /// Fetches this URL: the body of a 200 answer, at most 64 KiB, within 10 s.
    ///
    /// # Errors
    /// No answer in time, another status, or a larger answer.
    pub(crate) async fn get(&self) -> Result<Vec<u8>, BootstrapError> {
        tokio::time::timeout(FETCH_TIMEOUT, self.fetch())
            .await
            .unwrap_or_else(|_| {
                Err(BootstrapError::Timeout {
                    url: self.to_string(),
                })
            })
    }

    async fn fetch(&self) -> Result<Vec<u8>, BootstrapError> {
        let io = |source| BootstrapError::Io {
            url: self.to_string(),
            source,
        };
        let mut stream = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(io)?;
        // HTTP/1.0: the server neither chunks nor keeps the connection open, so the body ends where the stream does.
        let request = format!(
            "GET /{} HTTP/1.0\r\nHost: {}\r\nAccept: application/json, text/plain\r\nConnection: close\r\n\r\n",
            self.path,
            self.authority()
        );
        stream.write_all(request.as_bytes()).await.map_err(io)?;
        let mut answer = Vec::new();
        stream
            .take(MAX_ANSWER_BYTES + 1)
            .read_to_end(&mut answer)
            .await
            .map_err(io)?;
        if answer.len() as u64 > MAX_ANSWER_BYTES {
            return Err(BootstrapError::TooLarge {
                url: self.to_string(),
            });
        }
        body_of(&answer)
            .map(<[u8]>::to_vec)
            .map_err(|status| BootstrapError::Status {
                url: self.to_string(),
                status,
            })
    }

    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// The body of an HTTP answer with status 200, else the start of its first line.
fn body_of(answer: &[u8]) -> Result<&[u8], String> {
    let first_line = answer
        .split(|byte| *byte == b'\r')
        .next()
        .unwrap_or_default();
    let status = || {
        String::from_utf8_lossy(first_line)
            .chars()
            .take(64)
            .collect()
    };
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let mut words = first_line.split(|byte| *byte == b' ');
    match (words.next(), words.next(), end) {
        (Some(version), Some(b"200"), Some(end)) if version.starts_with(b"HTTP/1.") => {
            Ok(&answer[end + 4..])
        }
        _ => Err(status()),
    }
}

/// Addresses taken from one document. Guess: a relay has fewer; a lying one cannot make us dial more.
const MAX_ADDRS: usize = 16;
/// Time for one fetch. Guess: two lost SYN packets and a slow server.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer, headers included. Guess: sixteen addresses have under 4 KiB.
const MAX_ANSWER_BYTES: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "12D3KooWGjMCmQZ1n2zVZcKLBQ5r3gcJVcYNEd1W4HgNUvJV6tFa";

    async fn answering(answer: Vec<u8>) -> Url {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(&answer).await;
        });
        url
    }

    #[test]
    fn urls_are_parsed_and_printed() {
        for (text, printed) in [
            ("http://relay.example", "http://relay.example:80"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            ("http://[::1]:8080/a/", "http://[::1]:8080/a"),
        ] {
            assert_eq!(text.parse::<Url>().unwrap().to_string(), printed);
        }
        for text in [
            "https://x",
            "ftp://x",
            "http://",
            "http://a:0",
            "http://u@h",
            "http://a/b?c",
            "http://a b",
        ] {
            text.parse::<Url>().unwrap_err();
        }
    }

    #[test]
    fn a_multiaddr_without_peer_id_is_refused() {
        assert!(matches!(
            "/ip4/1.2.3.4/tcp/1".parse::<Bootstrap>(),
            Err(BootstrapError::NoPeerId)
        ));
    }

    #[test]
    fn addresses_of_another_peer_are_ignored() {
        let document = BootstrapDocument {
            network: "main".into(),
            peer_id: PEER.into(),
            addrs: vec!["/ip4/1.2.3.4/tcp/1".into(), "rubbish".into()],
        };
        assert!(document.multiaddrs().is_err());
    }

    #[tokio::test]
    async fn an_endless_answer_is_cut_at_the_bound() {
        let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        answer.resize(MAX_ANSWER_BYTES as usize + 10, b' ');
        let error = answering(answer).await.get().await.unwrap_err();
        assert!(matches!(error, BootstrapError::TooLarge { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_status_other_than_200_and_garbage_are_errors_that_quote_the_first_line() {
        for answer in [
            &b"HTTP/1.1 404 Not Found\r\n\r\n"[..],
            b"\x00\xff\x13garbage",
            b"",
        ] {
            let error = answering(answer.to_vec()).await.get().await.unwrap_err();
            assert!(matches!(error, BootstrapError::Status { .. }), "{error}");
        }
    }

    #[tokio::test]
    async fn a_relay_of_another_network_is_refused() {
        let body = format!(
            "{{\"network\":\"other\",\"peer_id\":\"{PEER}\",\"addrs\":[\"/ip4/1.2.3.4/tcp/1/p2p/{PEER}\"]}}"
        );
        let url = answering(format!("HTTP/1.0 200 OK\r\n\r\n{body}").into_bytes()).await;
        let error = Bootstrap::Url(url).resolve("main").await.unwrap_err();
        assert!(matches!(error, BootstrapError::Network { .. }), "{error}");
    }
}
