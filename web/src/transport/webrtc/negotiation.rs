//! Runs one signaling attempt over a stream of a circuit, from no `RTCPeerConnection` to a connected one.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use chorus_core::webrtc::{
    signaling::{Candidate, INIT_LABEL, Input, Output, Role, Signaling},
    stream::LARGE_MAX_FRAME,
};
use futures::{
    AsyncRead, AsyncReadExt, AsyncWriteExt, FutureExt,
    channel::oneshot,
    future::{Either, select},
    io::{ReadHalf, WriteHalf},
};
use futures_timer::Delay;
use libp2p::PeerId;
use wasm_bindgen::{JsCast, prelude::Closure};
use wasm_bindgen_futures::spawn_local;
use web_sys::{RtcDataChannel, RtcDataChannelState, RtcPeerConnectionState, RtcSdpType};

use super::{
    Connection, Error, Shared,
    peer_connection::{self, PeerConnection},
};

/// Negotiates a connection to `peer`, which the circuit that carries `stream` has authenticated, by offering one.
///
/// # Errors
/// When signaling fails, no candidate pair works, or it takes longer than [`TIMEOUT`]; the stream is reset then.
pub(super) async fn offer(
    peer: PeerId,
    stream: libp2p::Stream,
    prepared: Option<Prepared>,
    shared: &Shared,
) -> Result<Connection, Error> {
    let prepared = prepared.map_or_else(|| Prepared::start(shared), Ok)?;
    let (peer_connection, offer) = (prepared.peer_connection, Some(prepared.offer));
    run(Role::Offerer, peer, stream, peer_connection, offer, shared).await
}

/// Like [`offer`], by answering what the remote offers.
///
/// # Errors
/// As there.
pub(super) async fn answer(
    peer: PeerId,
    stream: libp2p::Stream,
    shared: &Shared,
) -> Result<Connection, Error> {
    let peer_connection = shared.spare.next(&shared.config)?;
    run(Role::Answerer, peer, stream, peer_connection, None, shared).await
}

async fn run(
    role: Role,
    peer: PeerId,
    stream: libp2p::Stream,
    peer_connection: PeerConnection,
    offer: Option<Offer>,
    shared: &Shared,
) -> Result<Connection, Error> {
    let (reader, writer) = stream.split();
    let negotiation = Negotiation {
        machine: Signaling::new(role, LARGE_MAX_FRAME as u32),
        peer_connection,
        offer,
        reader,
        writer,
        is_ended: false,
    };
    let negotiation = negotiation.run(peer, shared).boxed_local();
    match select(negotiation, Delay::new(TIMEOUT)).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => Err(Error::Timeout { after: TIMEOUT }),
    }
}

/// An `RTCPeerConnection` that describes itself and gathers its addresses while the circuit is made.
#[derive(Debug)]
pub(super) struct Prepared {
    peer_connection: PeerConnection,
    offer: Offer,
}

/// The offerer's own description, under way.
#[derive(Debug)]
struct Offer {
    init: Init,
    described: oneshot::Receiver<Result<String, Error>>,
    applied: oneshot::Receiver<Result<(), Error>>,
}

impl Prepared {
    /// Starts one, within the page's budget.
    pub(super) fn start(shared: &Shared) -> Result<Self, Error> {
        let peer_connection = shared.spare.next(&shared.config)?;
        let init = Init::open(&peer_connection);
        let (sdp, described) = oneshot::channel();
        let (done, applied) = oneshot::channel();
        let describing = peer_connection.reference();
        // Whoever waits for either may be gone.
        spawn_local(async move {
            let offer = peer_connection::create_offer(&describing).await;
            let _ = sdp.send(offer.clone());
            if let Ok(offer) = offer {
                let applied =
                    peer_connection::set_local(&describing, RtcSdpType::Offer, &offer).await;
                let _ = done.send(applied);
            }
        });
        Ok(Self {
            peer_connection,
            offer: Offer {
                init,
                described,
                applied,
            },
        })
    }
}

struct Negotiation {
    machine: Signaling,
    peer_connection: PeerConnection,
    /// None where the remote offers.
    offer: Option<Offer>,
    reader: ReadHalf<libp2p::Stream>,
    writer: WriteHalf<libp2p::Stream>,
    /// The remote closed its half of the stream: no candidates come any more.
    is_ended: bool,
}

enum Happened {
    Gathered(Candidate),
    Received(usize),
    Ended,
    Connected,
}

impl Negotiation {
    async fn run(mut self, peer: PeerId, shared: &Shared) -> Result<Connection, Error> {
        let mut bytes = vec![0; 4096];
        loop {
            self.perform().await?;
            let happened = poll_fn(|cx| self.poll(cx, &mut bytes)).await?;
            match happened {
                Happened::Gathered(candidate) => self.machine.handle(Input::Gathered(candidate))?,
                Happened::Received(len) => self.machine.handle(Input::Received(&bytes[..len]))?,
                Happened::Ended if self.machine.is_exchanging() => self.is_ended = true,
                Happened::Ended => {
                    return Err(Error::SignalingStream {
                        reason: "closed before both descriptions came".into(),
                    });
                }
                Happened::Connected => break,
            }
        }
        if let Some(offer) = self.offer {
            spawn_local(async move { offer.init.retire().await });
        }
        let registered = shared.connections.register(peer, &self.peer_connection);
        spawn_local(leave(self.reader, self.writer));
        Ok(Connection::new(self.peer_connection, registered))
    }

    /// Performs what the machine asks for, in order.
    async fn perform(&mut self) -> Result<(), Error> {
        let gone = |_| Error::Cancelled;
        let mut answer = String::new();
        let mut candidates = Vec::new();
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Describe => {
                    let sdp = match &mut self.offer {
                        Some(offer) => (&mut offer.described).await.map_err(gone)??,
                        // Begun with the offer's application: the browser does one after the other.
                        None => answer.clone(),
                    };
                    self.machine.handle(Input::Described { sdp })?;
                }
                Output::Write(bytes) => self.write(&bytes).await?,
                Output::ApplyLocal => match &mut self.offer {
                    Some(offer) => (&mut offer.applied).await.map_err(gone)??,
                    None => self.peer_connection.set_local_answer(&answer).await?,
                },
                Output::ApplyRemote { sdp } => {
                    self.peer_connection.inbox.borrow_mut().max_frame = self.machine.max_frame();
                    if self.offer.is_some() {
                        let applied = self.peer_connection.set_remote(RtcSdpType::Answer, &sdp);
                        applied.await?;
                    } else {
                        let applied = self.peer_connection.set_remote(RtcSdpType::Offer, &sdp);
                        let described = self.peer_connection.create_answer();
                        applied.await?;
                        answer = described.await?;
                    }
                }
                Output::AddCandidate(candidate) => candidates.push(candidate),
            }
        }
        // Last, so that an answer does not wait for the candidates that came with its offer.
        for candidate in &candidates {
            self.peer_connection.add_candidate(candidate);
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = async {
            self.writer.write_all(bytes).await?;
            self.writer.flush().await
        };
        match written.await {
            // A remote that is connected already may have left; candidates are of no use to it.
            Err(_) if self.machine.is_exchanging() && self.is_ended => Ok(()),
            Err(error) => Err(Error::SignalingStream {
                reason: error.to_string(),
            }),
            Ok(()) => Ok(()),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<Result<Happened, Error>> {
        {
            let mut inbox = self.peer_connection.inbox.borrow_mut();
            match inbox.state {
                RtcPeerConnectionState::Connected => return Poll::Ready(Ok(Happened::Connected)),
                RtcPeerConnectionState::Failed => {
                    return Poll::Ready(Err(Error::PeerConnection { state: "failed" }));
                }
                RtcPeerConnectionState::Closed => {
                    return Poll::Ready(Err(Error::PeerConnection { state: "closed" }));
                }
                _ => {}
            }
            if let Some(candidate) = inbox.candidates.pop_front() {
                return Poll::Ready(Ok(Happened::Gathered(candidate)));
            }
            inbox.wakers.register(cx);
        }
        if self.is_ended {
            return Poll::Pending;
        }
        match Pin::new(&mut self.reader).poll_read(cx, bytes) {
            Poll::Ready(Ok(0)) => Poll::Ready(Ok(Happened::Ended)),
            Poll::Ready(Ok(len)) => Poll::Ready(Ok(Happened::Received(len))),
            // After the descriptions a lost circuit need not stop the checks that are under way.
            Poll::Ready(Err(_)) if self.machine.is_exchanging() => Poll::Ready(Ok(Happened::Ended)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(Error::SignalingStream {
                reason: error.to_string(),
            })),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Closes the signaling stream and waits for the remote to do so too: it may need some moments more to be connected, and
/// a reset would end its attempt.
async fn leave(mut reader: ReadHalf<libp2p::Stream>, mut writer: WriteHalf<libp2p::Stream>) {
    let goodbye = async {
        if writer.close().await.is_ok() {
            let mut rest = [0; 512];
            while reader.read(&mut rest).await.is_ok_and(|len| len > 0) {}
        }
    };
    select(goodbye.boxed_local(), Delay::new(LEAVE)).await;
}

/// The offerer's data channel that makes the offer describe one.
#[derive(Debug)]
struct Init {
    channel: RtcDataChannel,
    changed: std::rc::Rc<futures::task::AtomicWaker>,
    _handler: Closure<dyn FnMut()>,
}

impl Init {
    fn open(peer_connection: &PeerConnection) -> Self {
        let channel = peer_connection.create_data_channel(INIT_LABEL);
        let changed = std::rc::Rc::new(futures::task::AtomicWaker::new());
        let handler = Closure::<dyn FnMut()>::new({
            let changed = changed.clone();
            move || changed.wake()
        });
        channel.set_onopen(Some(handler.as_ref().unchecked_ref()));
        channel.set_onclose(Some(handler.as_ref().unchecked_ref()));
        Self {
            channel,
            changed,
            _handler: handler,
        }
    }

    /// Closes the channel once it is open. The connection is used meanwhile: until both ends have closed this channel, no
    /// other gets its SCTP stream id.
    async fn retire(&self) {
        let retired = async {
            self.reached(&[RtcDataChannelState::Open, RtcDataChannelState::Closed])
                .await;
            self.channel.close();
            self.reached(&[RtcDataChannelState::Closed]).await;
        };
        select(retired.boxed_local(), Delay::new(RETIRE)).await;
    }

    async fn reached(&self, states: &[RtcDataChannelState]) {
        poll_fn(|cx| {
            self.changed.register(cx.waker());
            if states.contains(&self.channel.ready_state()) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        self.channel.set_onopen(None);
        self.channel.set_onclose(None);
    }
}

/// Longest time from the first signaling byte to a connection. Guess: slow candidates over a slow TURN server.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Longest time for the remote to close its half of the signaling stream.
const LEAVE: Duration = Duration::from_secs(10);
/// Longest time for closing `init` before going on regardless.
const RETIRE: Duration = Duration::from_secs(2);
