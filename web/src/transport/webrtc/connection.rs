//! An established `/webrtc` connection as a libp2p muxer: one data channel per stream.

use std::{
    fmt,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use futures::FutureExt;
use futures_timer::Delay;
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use send_wrapper::SendWrapper;
use web_sys::RtcPeerConnectionState;

use super::{
    Error,
    channel::{Channel, Stream},
    peer_connection::PeerConnection,
    statistics::Registered,
};

/// The connection. Dropping it closes the `RTCPeerConnection` and ends every stream.
pub struct Connection {
    inner: SendWrapper<Inner>,
}

struct Inner {
    peer_connection: PeerConnection,
    channels: Vec<Entry>,
    /// Streams this side opened before it heard anything on one.
    early: usize,
    /// Runs while the browser says "disconnected".
    grace: Option<Delay>,
    /// Runs while the connection closes and data is still in the browser's queues.
    drain: Option<(Delay, usize)>,
    is_closed: bool,
    _registered: Registered,
}

struct Entry {
    channel: Rc<Channel>,
    /// Whether this side opened it.
    is_ours: bool,
    /// Runs once the stream is dropped and the remote has not acknowledged its end, or has not closed what it opened.
    linger: Option<Delay>,
}

impl Connection {
    pub(super) fn new(peer_connection: PeerConnection, registered: Registered) -> Self {
        let inner = Inner {
            peer_connection,
            channels: Vec::new(),
            early: 0,
            grace: None,
            drain: None,
            is_closed: false,
            _registered: registered,
        };
        Self {
            inner: SendWrapper::new(inner),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Inner {
    fn adopt(&mut self, channel: Rc<Channel>, is_ours: bool) -> Stream {
        self.channels.push(Entry {
            channel: channel.clone(),
            is_ours,
            linger: None,
        });
        Stream::new(channel)
    }

    fn check(&self) -> Result<(), Error> {
        if self.is_closed {
            return Err(Error::PeerConnection { state: "closed" });
        }
        match self.peer_connection.inbox.borrow().state {
            RtcPeerConnectionState::Failed => Err(Error::PeerConnection { state: "failed" }),
            RtcPeerConnectionState::Closed => Err(Error::PeerConnection {
                state: "closed by the remote",
            }),
            _ => Ok(()),
        }
    }

    /// A connection that stays "disconnected" is given up long before the browser calls it failed.
    fn poll_grace(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        if self.peer_connection.inbox.borrow().state != RtcPeerConnectionState::Disconnected {
            self.grace = None;
            return Ok(());
        }
        match self
            .grace
            .get_or_insert_with(|| Delay::new(DISCONNECTED_GRACE))
            .poll_unpin(cx)
        {
            Poll::Ready(()) => Err(Error::PeerConnection {
                state: "disconnected",
            }),
            Poll::Pending => Ok(()),
        }
    }

    /// Closes the channels whose stream is over, dropped by its owner or not. O(channels), and only when one may be.
    fn sweep(&mut self, cx: &mut Context<'_>) {
        let is_due = std::mem::take(&mut self.peer_connection.inbox.borrow_mut().is_sweep_due);
        self.channels.retain_mut(|entry| {
            if !is_due && entry.linger.is_none() {
                return true;
            }
            let is_done = entry.channel.is_done();
            // Who opened a channel closes it: it gives the SCTP stream id to a new one, which the other side ignores where
            // its own closing of the old one is still under way.
            let mut is_over = is_done && (entry.is_ours || !entry.channel.is_finished());
            if !is_over && (is_done || entry.channel.is_dropped()) {
                let linger = entry.linger.get_or_insert_with(|| Delay::new(LINGER));
                is_over = linger.poll_unpin(cx).is_ready();
            }
            if is_over {
                entry.channel.shut();
            }
            !is_over
        });
    }

    fn close(&mut self) {
        if self.is_closed {
            return;
        }
        self.is_closed = true;
        self.peer_connection.close();
        let waiting = std::mem::take(&mut self.peer_connection.inbox.borrow_mut().channels);
        let channels = self.channels.drain(..).map(|entry| entry.channel);
        channels.chain(waiting).for_each(|channel| channel.shut());
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl StreamMuxer for Connection {
    type Substream = Stream;
    type Error = Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Stream, Error>> {
        let inner = &mut *self.inner;
        inner.check()?;
        let channel = {
            let mut inbox = inner.peer_connection.inbox.borrow_mut();
            let Some(channel) = inbox.channels.pop_front() else {
                inbox.wakers.register(cx);
                return Poll::Pending;
            };
            channel
        };
        Poll::Ready(Ok(inner.adopt(channel, false)))
    }

    /// Opens a data channel. Until something is heard from the remote only `MAX_EARLY` are opened, because js-libp2p
    /// keeps no more than ten that arrive before its muxer runs.
    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Stream, Error>> {
        let inner = &mut *self.inner;
        inner.check()?;
        let (is_heard, max_frame) = {
            let mut inbox = inner.peer_connection.inbox.borrow_mut();
            if !inbox.is_heard && inner.early >= MAX_EARLY {
                inbox.wakers.register(cx);
                return Poll::Pending;
            }
            (inbox.is_heard, inbox.max_frame)
        };
        if !is_heard {
            inner.early += 1;
        }
        let data_channel = inner.peer_connection.create_data_channel("");
        let channel = Channel::attach(data_channel, max_frame, inner.peer_connection.inbox.clone());
        Poll::Ready(Ok(inner.adopt(channel, true)))
    }

    /// Closes the connection, after what was written has left the browser, but within `DRAIN`.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let inner = &mut *self.inner;
        loop {
            let is_drained = inner
                .channels
                .iter()
                .all(|entry| entry.channel.unsent() == 0);
            let is_dead = inner.is_closed || inner.check().is_err();
            let (_, steps) = inner
                .drain
                .get_or_insert_with(|| (Delay::new(DRAIN / DRAIN_STEPS), 0));
            if is_dead || is_drained || *steps >= DRAIN_STEPS as usize {
                inner.close();
                return Poll::Ready(Ok(()));
            }
            // The browser reports an empty queue only to a channel with handlers, and dropped streams have none: look
            // again after a step.
            if let Some((delay, steps)) = &mut inner.drain {
                futures::ready!(delay.poll_unpin(cx));
                *steps += 1;
                *delay = Delay::new(DRAIN / DRAIN_STEPS);
            }
        }
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, Error>> {
        let inner = &mut *self.inner;
        inner.peer_connection.inbox.borrow_mut().wakers.register(cx);
        let outcome = inner.check().and_then(|()| inner.poll_grace(cx));
        if let Err(error) = outcome {
            inner.close();
            return Poll::Ready(Err(error));
        }
        inner.sweep(cx);
        Poll::Pending
    }
}

/// How long a connection may be "disconnected". Chromium says so about 5 s after the last answer to its checks.
/// Guess: together under the 15 s in which a closed tab must be gone.
const DISCONNECTED_GRACE: Duration = Duration::from_secs(5);
/// How long the end of a dropped stream may stay unacknowledged before its channel is closed. Source: js-libp2p's 10 s.
const LINGER: Duration = Duration::from_secs(10);
/// How long closing a connection waits for data that is still in the browser's queues.
const DRAIN: Duration = Duration::from_millis(500);
const DRAIN_STEPS: u32 = 25;
/// Streams opened before anything was heard. Source: js-libp2p 6.0.33 `muxer.ts` buffers ten.
const MAX_EARLY: usize = 8;
