//! The browser's transports, put together: `/webrtc` between browsers, circuits through a relay, WebSocket to a relay,
//! and webrtc-direct to servers.
//!
//! The order matters. `/webrtc` comes before the relay's transport, because that one also accepts
//! `…/p2p-circuit/webrtc/p2p/B` and would make a plain circuit of it. webrtc-direct comes last, because its parser
//! ignores what follows the server's peer id and would swallow circuit addresses.
//!
//! ```text
//! <relay>/p2p-circuit/webrtc/p2p/B   webrtc     one dial: makes the circuit, signals on it, connects directly
//! <relay>/p2p-circuit/p2p/B          relay      a circuit; kept when WebRTC fails
//! …/ws, …/wss, …/tls/ws              websocket
//! …/udp/…/webrtc-direct/certhash/…   libp2p-webrtc-websys
//! ```

#![allow(
    clippy::type_complexity,
    reason = "libp2p spells its transports and events by their types"
)]

use std::time::Duration;

use chorus_core::net::Gathered;
use libp2p::{
    PeerId, Transport as _,
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    identity::Keypair,
    noise, relay, webrtc_websys, yamux,
};

use wasm_bindgen_futures::spawn_local;

mod ahead;
pub mod webrtc;
pub mod websocket;

pub use ahead::Ahead;

/// What the transports need to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// STUN and TURN servers. None by default: no third party learns of anyone unless the page's owner says so.
    pub ice_servers: Vec<IceServer>,
    /// Whether only TURN servers may be used, so that no peer learns this one's address. Without any, WebRTC is
    /// impossible and peers stay connected by circuits.
    pub relay_only: bool,
}

/// A STUN or TURN server, as `RTCIceServer` has it.
#[derive(Clone, PartialEq, Eq)]
pub struct IceServer {
    /// `stun:host:port`, `turn:host:port?transport=udp` and so on.
    pub urls: Vec<String>,
    /// TURN user name.
    pub username: Option<String>,
    /// TURN password.
    pub credential: Option<String>,
}

impl std::fmt::Debug for IceServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let credential = self.credential.as_ref().map(|_| "redacted");
        f.debug_struct("IceServer")
            .field("urls", &self.urls)
            .field("username", &self.username)
            .field("credential", &credential)
            .finish()
    }
}

/// Puts the transports together, with the two behaviours that must be in the same swarm for them to work.
///
/// To be reachable by other browsers, the swarm listens on `/webrtc` and on `<relay>/p2p-circuit`.
/// [`webrtc::Behaviour::connections`] gives a handle for statistics; take it before the behaviour goes into the swarm.
/// What was begun `ahead` is used where it fits.
///
/// # Errors
/// When the noise handshake cannot sign with `identity`.
#[inline(never)]
pub fn build(
    identity: &Keypair,
    config: Config,
    mut ahead: Ahead,
) -> Result<
    (
        Boxed<(PeerId, StreamMuxerBox)>,
        relay::client::Behaviour,
        webrtc::Behaviour,
    ),
    noise::Error,
> {
    let noise = Gathered::new(noise::Config::new(identity)?, spawn_local);
    let (webrtc, webrtc_behaviour) = webrtc::new(config, ahead.connection.take());
    let (circuit, relay_client) = relay::client::new(identity.public().to_peer_id());
    // Together before their handshakes: what carries them then exists once, which is less to download and to compile.
    let carried = circuit
        .or_transport(websocket::Transport::new(ahead.socket.take()))
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default())
        .timeout(UPGRADE_TIMEOUT)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let direct = webrtc_websys::Transport::new(webrtc_websys::Config::new(identity))
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let transport = webrtc
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .or_transport(carried)
        .map(|either, _| either.into_inner())
        .or_transport(direct)
        .map(|either, _| either.into_inner())
        .boxed();
    Ok((transport, relay_client, webrtc_behaviour))
}

/// Longest time for opening a connection and its noise and yamux handshakes. Guess: four slow round trips and TLS.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(20);
