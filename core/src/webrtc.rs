//! The halves of libp2p's browser-to-browser `/webrtc` transport that do no IO: what is said while signaling, and how
//! streams are framed on data channels. libp2p specs, `webrtc/webrtc.md` and `webrtc/README.md` (@7740c07, 2025-11).
//!
//! - [`signaling`]: `/webrtc-signaling/0.0.1` messages and the offerer's and answerer's state machines.
//! - [`stream`]: one stream on one data channel: FIN, STOP_SENDING, RESET_STREAM and FIN_ACK.
//!
//! Does not know `RTCPeerConnection`, sockets or timers; `web` drives it and decides how long to wait. Everything a
//! remote sends is bounded before it is kept, and bad bytes are an error value, never a panic.
//!
//! Two Chorus peers agree on frames larger than the specification's 16 KiB: offer and answer carry
//! [`signaling::MAX_FRAME_FIELD`], a protobuf field that other implementations skip. The smaller value rules; without
//! both the limit stays 16 KiB.

mod protobuf;
pub mod signaling;
pub mod stream;

pub use protobuf::ProtobufError;
