//! Opens and accepts signaling streams on one circuit.

use std::{
    collections::VecDeque,
    convert::Infallible,
    task::{Context, Poll},
};

use chorus_core::webrtc::signaling::PROTOCOL;
use futures::{
    SinkExt,
    future::{Either, select},
};
use libp2p::{
    PeerId, StreamProtocol,
    core::upgrade::ReadyUpgrade,
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
        handler::{
            ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
        },
    },
};
use send_wrapper::SendWrapper;
use wasm_bindgen_futures::spawn_local;

use super::{Error, Event, Request, Shared, ToTransport, negotiation};

/// One circuit's handler.
#[derive(Debug)]
pub struct Handler {
    /// Whom the circuit's Noise handshake authenticated.
    remote: PeerId,
    shared: Shared,
    requests: VecDeque<Request>,
    is_held: bool,
}

/// What the behaviour asks for.
#[derive(Debug)]
pub enum Command {
    /// Negotiate a connection.
    Open(Negotiate),
    /// Keep the circuit, or let it idle out.
    Hold(bool),
}

/// A request, opaque outside.
#[derive(Debug)]
pub struct Negotiate(pub(super) Request);

impl Handler {
    pub(super) fn new(remote: PeerId, shared: Shared) -> Self {
        Self {
            remote,
            shared,
            requests: VecDeque::new(),
            is_held: false,
        }
    }

    fn on_outbound(&self, stream: libp2p::Stream, mut request: Request) {
        let (remote, shared) = (self.remote, self.shared.clone());
        spawn_local(async move {
            let prepared = request.prepared.take().map(SendWrapper::take);
            let negotiated = negotiation::offer(remote, stream, prepared, &shared);
            futures::pin_mut!(negotiated);
            let outcome = match select(negotiated, request.reply.cancellation()).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right(_) => return,
            };
            report(&shared, remote, outcome.as_ref().err());
            // A dial dropped meanwhile drops the connection, which closes it.
            let _ = request.reply.send(outcome);
        });
    }

    fn on_inbound(&self, stream: libp2p::Stream) {
        let (remote, mut shared) = (self.remote, self.shared.clone());
        // A second stream of the same remote while one is negotiated is dropped, which resets it.
        let Ok(attempt) = shared.attempts.start(remote, false) else {
            return;
        };
        spawn_local(async move {
            let outcome = negotiation::answer(remote, stream, &shared).await;
            drop(attempt);
            shared.spare.refill_later(&shared.config);
            report(&shared, remote, outcome.as_ref().err());
            if let Ok(connection) = outcome {
                // Fails only when the swarm is gone.
                let _ = shared
                    .to_transport
                    .send(ToTransport::Incoming {
                        peer: remote,
                        connection,
                    })
                    .await;
            }
        });
    }
}

/// Tells the behaviour how an attempt ended. Dropped when it is too far behind.
fn report(shared: &Shared, peer: PeerId, error: Option<&Error>) {
    let event = match error {
        None => Event::Connected { peer },
        Some(error) => Event::Failed {
            peer,
            error: error.clone(),
        },
    };
    let _ = shared.to_events.clone().try_send(event);
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Command;
    type ToBehaviour = Infallible;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Negotiate;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(StreamProtocol::new(PROTOCOL)), ())
    }

    fn connection_keep_alive(&self) -> bool {
        self.is_held || !self.requests.is_empty()
    }

    // In a function of its own: see `chorus_core::net`'s scoped behaviours.
    #[inline(never)]
    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<
        ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>,
    > {
        while let Some(request) = self.requests.pop_front() {
            if request.reply.is_canceled() {
                continue;
            }
            let protocol = ReadyUpgrade::new(StreamProtocol::new(PROTOCOL));
            let protocol = SubstreamProtocol::new(protocol, Negotiate(request));
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, command: Command) {
        match command {
            Command::Hold(is_held) => self.is_held = is_held,
            Command::Open(Negotiate(request)) if request.peer != self.remote => {
                let error = Error::WrongPeer {
                    expected: request.peer,
                    actual: self.remote,
                };
                let _ = request.reply.send(Err(error));
            }
            Command::Open(Negotiate(request)) => self.requests.push_back(request),
        }
    }

    #[inline(never)]
    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            Self::InboundProtocol,
            Self::OutboundProtocol,
            Self::InboundOpenInfo,
            Self::OutboundOpenInfo,
        >,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol, ..
            }) => {
                self.on_inbound(protocol);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol,
                info,
            }) => {
                self.on_outbound(protocol, info.0);
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                let reason = match error {
                    StreamUpgradeError::Timeout => "timed out".to_string(),
                    StreamUpgradeError::NegotiationFailed => format!("{PROTOCOL} is not supported"),
                    StreamUpgradeError::Io(error) => error.to_string(),
                    StreamUpgradeError::Apply(never) => match never {},
                };
                let error = Error::SignalingStream { reason };
                report(&self.shared, self.remote, Some(&error));
                let _ = info.0.reply.send(Err(error));
            }
            _ => {}
        }
    }
}
