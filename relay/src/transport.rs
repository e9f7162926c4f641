//! How native peers connect: WebSocket, webrtc-direct, QUIC and TCP, with DNS names, and circuits through other relays.
//!
//! Identity is proven by Noise (TCP, WebSocket, webrtc-direct) or TLS 1.3 (QUIC); streams are Yamux where the transport
//! has none. rust-libp2p's webrtc-direct lacks FIN_ACK, so js-libp2p waits for its own timeout when it closes a stream
//! there: WebSocket is announced first and is what browsers use.

use std::time::Duration;

use chorus_core::net::Gathered;
use futures::{AsyncRead, AsyncWrite};
use libp2p::{
    PeerId, Transport,
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    dns, identity, noise, quic, relay, tcp, websocket, yamux,
};
use libp2p_webrtc::tokio as webrtc;

use crate::meter::{MeteredMuxer, Traffic};

/// A transport for everything that `core::net` dials and listens on.
pub(crate) type BoxedTransport = Boxed<(PeerId, StreamMuxerBox)>;

/// Why the transports cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum TransportError {
    /// Noise refused the key.
    #[error("noise: {0}")]
    Noise(#[from] noise::Error),
    /// The stored certificate does not parse.
    #[error("webrtc certificate: {0}")]
    Certificate(String),
}

/// Makes a certificate for webrtc-direct, with its private key, as PEM. Keep it: its hash is part of the address.
///
/// # Errors
/// The generator refused.
pub(crate) fn generate_certificate() -> Result<String, TransportError> {
    webrtc::Certificate::generate(&mut rand::rng())
        .map(|certificate| certificate.serialize_pem())
        .map_err(|error| TransportError::Certificate(error.to_string()))
}

/// Builds all transports. `certificate` is the PEM from [`generate_certificate`]; without it there is no webrtc-direct.
/// `traffic` counts what the connections carry; circuits through other relays are inside those and not counted again.
///
/// Must be called inside a tokio runtime.
///
/// # Errors
/// The key or the certificate is unusable.
pub(crate) fn build(
    keypair: &identity::Keypair,
    certificate: Option<&str>,
    traffic: Traffic,
) -> Result<(BoxedTransport, relay::client::Behaviour), TransportError> {
    let (relay_transport, relay_client) = relay::client::new(keypair.public().to_peer_id());
    let noise = Gathered::new(noise::Config::new(keypair)?, |turn| {
        drop(tokio::spawn(turn))
    });
    let tcp_socket = || tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));

    let mut ws = websocket::Config::new(with_dns(tcp_socket));
    ws.set_max_data_size(MAX_WEBSOCKET_FRAME);
    let quic = || {
        let quic = quic::tokio::Transport::new(quic::Config::new(keypair));
        quic.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
            .boxed()
    };
    let native = with_dns(|| either(quic(), upgraded(tcp_socket(), noise.clone()))).boxed();

    let mut direct = native;
    if let Some(pem) = certificate {
        let certificate = webrtc::Certificate::from_pem(pem)
            .map_err(|e| TransportError::Certificate(e.to_string()))?;
        let webrtc = webrtc::Transport::new(keypair.clone(), certificate);
        // Before the DNS wrapper, which takes every address and fails only later.
        direct = either(
            webrtc
                .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
                .boxed(),
            direct,
        );
    }
    direct = either(upgraded(ws, noise.clone()), direct)
        .map(move |(peer, muxer), _| {
            (
                peer,
                StreamMuxerBox::new(MeteredMuxer::new(muxer, traffic.clone())),
            )
        })
        .boxed();
    // First, because webrtc-direct would take a circuit's address for that of the relay itself.
    Ok((
        either(upgraded(relay_transport, noise), direct),
        relay_client,
    ))
}

fn either(first: BoxedTransport, second: BoxedTransport) -> BoxedTransport {
    first
        .or_transport(second)
        .map(|output, _| output.into_inner())
        .boxed()
}

fn upgraded<T, S>(transport: T, noise: Gathered<noise::Config>) -> BoxedTransport
where
    T: Transport<Output = S> + Send + Unpin + 'static,
    T::Error: Send + Sync + 'static,
    T::Dial: Send + 'static,
    T::ListenerUpgrade: Send + 'static,
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    transport
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default())
        .timeout(UPGRADE_TIMEOUT)
        .boxed()
}

/// Resolves names as the host's resolver configuration says; on a host without one, names fail and addresses work.
fn with_dns<T>(make: impl Fn() -> T) -> dns::tokio::Transport<T> {
    dns::tokio::Transport::system(make()).unwrap_or_else(|error| {
        tracing::warn!(%error, "no resolver configuration: host names will not resolve");
        dns::tokio::Transport::custom(
            make(),
            dns::ResolverConfig::default(),
            dns::ResolverOpts::default(),
        )
    })
}

/// Largest WebSocket frame accepted, bytes. Source: a Noise message has at most 65 535 bytes and its length 2; senders
/// that buffer put several into one frame, so 1 MiB, as in litep2p. Guess: nobody buffers more.
const MAX_WEBSOCKET_FRAME: usize = 1 << 20;
/// Time for security and multiplexing after the connection stands. Guess: twice the 10 s of a slow phone.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(20);
