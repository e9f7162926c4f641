//! Counts the bytes that connections and circuits carry.
//!
//! libp2p-relay reports circuits but not their bytes, so every stream is watched from outside: its first
//! multistream-select messages name its protocol, and from then on its bytes belong to a circuit or not. A circuit is
//! two streams, `hop` opened by the source and `stop` opened by this relay towards the destination. What the relay
//! *reads* from both is what the circuit carries, in both directions, each byte once. That includes the circuit's own
//! handshake (about 300 bytes) and reservation requests (about 100 bytes each), which are `hop` messages too.
//!
//! It counts the payload of streams: Yamux, Noise, WebSocket and TCP headers are not in it.

use std::{
    io::{self, IoSlice, IoSliceMut},
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::{
    core::muxing::{StreamMuxer, StreamMuxerBox, StreamMuxerEvent, SubstreamBox},
    relay::{HOP_PROTOCOL_NAME, STOP_PROTOCOL_NAME},
};
use prometheus_client::metrics::counter::Counter;

/// Bytes carried since the process started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    /// Read from all streams of all connections.
    pub(crate) inbound: Counter,
    /// Written to all streams of all connections.
    pub(crate) outbound: Counter,
    /// Carried by circuits, both directions, each byte once. Part of `inbound`.
    pub(crate) circuit: Counter,
}

/// A connection whose streams are counted.
pub(crate) struct MeteredMuxer {
    inner: StreamMuxerBox,
    traffic: Traffic,
}

/// A counted stream.
pub(crate) struct MeteredStream {
    inner: SubstreamBox,
    traffic: Traffic,
    class: Class,
}

/// What a stream's bytes belong to.
enum Class {
    /// Its protocol is not known yet: what was read so far.
    Unknown(Sniffer),
    /// A circuit's source or destination.
    Circuit,
    /// Anything else.
    Other,
}

/// Which side opened the stream decides which protocol makes it a circuit of *this* relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opener {
    Remote,
    Us,
}

/// Reads the protocol's name off the first multistream-select messages that the remote sends.
struct Sniffer {
    opener: Opener,
    seen: Vec<u8>,
}

impl MeteredMuxer {
    pub(crate) fn new(inner: StreamMuxerBox, traffic: Traffic) -> Self {
        Self { inner, traffic }
    }

    fn meter(&self, inner: SubstreamBox, opener: Opener) -> MeteredStream {
        MeteredStream {
            inner,
            traffic: self.traffic.clone(),
            class: Class::Unknown(Sniffer {
                opener,
                seen: Vec::new(),
            }),
        }
    }
}

impl StreamMuxer for MeteredMuxer {
    type Substream = MeteredStream;
    type Error = io::Error;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<MeteredStream>> {
        let stream = ready!(Pin::new(&mut self.inner).poll_inbound(cx))?;
        Poll::Ready(Ok(self.meter(stream, Opener::Remote)))
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<MeteredStream>> {
        let stream = ready!(Pin::new(&mut self.inner).poll_outbound(cx))?;
        Poll::Ready(Ok(self.meter(stream, Opener::Us)))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}

impl MeteredStream {
    fn count_read(&mut self, bytes: &[u8]) {
        let n = bytes.len() as u64;
        self.traffic.inbound.inc_by(n);
        match &mut self.class {
            Class::Circuit => {
                self.traffic.circuit.inc_by(n);
            }
            Class::Other => {}
            Class::Unknown(sniffer) => match sniffer.feed(bytes) {
                None => {}
                Some(false) => self.class = Class::Other,
                Some(true) => {
                    let seen = sniffer.seen.len() as u64;
                    self.traffic.circuit.inc_by(seen);
                    self.class = Class::Circuit;
                }
            },
        }
    }

    fn count_written(&self, n: usize) {
        self.traffic.outbound.inc_by(n as u64);
    }
}

impl AsyncRead for MeteredStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let n = ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        self.count_read(&buf[..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let n = ready!(Pin::new(&mut self.inner).poll_read_vectored(cx, bufs))?;
        let mut left = n;
        for buf in bufs {
            let taken = left.min(buf.len());
            self.count_read(&buf[..taken]);
            left -= taken;
        }
        Poll::Ready(Ok(n))
    }
}

impl AsyncWrite for MeteredStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let n = ready!(Pin::new(&mut self.inner).poll_write(cx, buf))?;
        self.count_written(n);
        Poll::Ready(Ok(n))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let n = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, bufs))?;
        self.count_written(n);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

impl Sniffer {
    /// Takes more of what was read; `Some` once it is clear whether the stream is part of a circuit.
    ///
    /// Keeps at most [`MAX_SNIFFED`] bytes beyond one read.
    fn feed(&mut self, bytes: &[u8]) -> Option<bool> {
        if bytes.is_empty() {
            return None;
        }
        self.seen.extend_from_slice(bytes);
        let mut rest = self.seen.as_slice();
        loop {
            match next_line(rest) {
                Line::Incomplete if self.seen.len() < MAX_SNIFFED => return None,
                Line::Incomplete | Line::Invalid => return Some(false),
                Line::Text(MULTISTREAM, after) => rest = after,
                // The first protocol that is named decides: a circuit's peers offer one protocol per stream.
                Line::Text(protocol, _) => {
                    let wanted = match self.opener {
                        Opener::Remote => HOP_PROTOCOL_NAME,
                        Opener::Us => STOP_PROTOCOL_NAME,
                    };
                    return Some(protocol == wanted.as_ref().as_bytes());
                }
            }
        }
    }
}

/// One multistream-select message: its length (one byte, as every name here is shorter than 128), text, newline.
enum Line<'a> {
    Incomplete,
    Invalid,
    Text(&'a [u8], &'a [u8]),
}

fn next_line(bytes: &[u8]) -> Line<'_> {
    let Some((&len, rest)) = bytes.split_first() else {
        return Line::Incomplete;
    };
    if len == 0 || len >= 0x80 {
        return Line::Invalid;
    }
    let len = usize::from(len);
    if rest.len() < len {
        return Line::Incomplete;
    }
    match rest[..len].split_last() {
        Some((b'\n', text)) => Line::Text(text, &rest[len..]),
        _ => Line::Invalid,
    }
}

/// First message of every negotiation. Source: multistream-select specification, "Message format".
const MULTISTREAM: &[u8] = b"/multistream/1.0.0";
/// Bytes after which a stream without a protocol is taken for something else. Guess: header and name have under 64.
const MAX_SNIFFED: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Vec<u8> {
        let mut bytes = vec![text.len() as u8 + 1];
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(b'\n');
        bytes
    }

    fn negotiation(protocol: &str) -> Vec<u8> {
        [message("/multistream/1.0.0"), message(protocol)].concat()
    }

    fn verdict(opener: Opener, bytes: &[u8], step: usize) -> Option<bool> {
        let mut sniffer = Sniffer {
            opener,
            seen: Vec::new(),
        };
        bytes.chunks(step).find_map(|chunk| sniffer.feed(chunk))
    }

    #[test]
    fn a_circuit_is_recognised_from_either_end_however_the_bytes_arrive() {
        let hop = negotiation("/libp2p/circuit/relay/0.2.0/hop");
        let stop = negotiation("/libp2p/circuit/relay/0.2.0/stop");
        for step in 1..80 {
            assert_eq!(verdict(Opener::Remote, &hop, step), Some(true));
            assert_eq!(verdict(Opener::Us, &stop, step), Some(true));
        }
    }

    #[test]
    fn circuits_through_another_relay_and_other_protocols_are_not_counted() {
        let hop = negotiation("/libp2p/circuit/relay/0.2.0/hop");
        assert_eq!(verdict(Opener::Us, &hop, 7), Some(false));
        assert_eq!(
            verdict(Opener::Remote, &negotiation("/ipfs/id/1.0.0"), 7),
            Some(false)
        );
    }

    #[test]
    fn a_name_inside_the_payload_of_another_protocol_does_not_count() {
        let bytes = [
            negotiation("/ipfs/ping/1.0.0"),
            negotiation("/libp2p/circuit/relay/0.2.0/hop"),
        ]
        .concat();
        assert_eq!(verdict(Opener::Remote, &bytes, bytes.len()), Some(false));
    }

    #[test]
    fn garbage_and_endless_negotiation_settle_within_the_bound() {
        assert_eq!(verdict(Opener::Remote, &[0xff; 4], 1), Some(false));
        assert_eq!(verdict(Opener::Remote, &[0], 1), Some(false));
        let endless = message("/multistream/1.0.0").repeat(100);
        let mut sniffer = Sniffer {
            opener: Opener::Remote,
            seen: Vec::new(),
        };
        let settled = endless
            .chunks(1)
            .position(|chunk| sniffer.feed(chunk).is_some());
        assert!(
            settled.is_some_and(|at| at < 2 * MAX_SNIFFED),
            "{settled:?}"
        );
    }
}
