//! One data channel as a libp2p stream.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use chorus_core::webrtc::stream::{self, Read, StreamError};
use futures::{AsyncRead, AsyncWrite};
use js_sys::{ArrayBuffer, Uint8Array};
use send_wrapper::SendWrapper;
use wasm_bindgen::{JsCast, prelude::Closure};
use web_sys::{MessageEvent, RtcDataChannel, RtcDataChannelState, RtcDataChannelType};

use super::{
    peer_connection::{Inbox, notify},
    trial::Trial,
};

/// A data channel, its stream's state, and its handlers. Owned by the connection; a [`Stream`] borrows it.
#[derive(Debug)]
pub(super) struct Channel {
    /// Another one only where a trial ended so.
    pub(super) inner: RefCell<RtcDataChannel>,
    high_water: u32,
    state: RefCell<State>,
    handlers: RefCell<Option<Handlers>>,
    /// While there is one, nothing of the stream is sent.
    pub(super) trial: RefCell<Option<Trial>>,
    inbox: Rc<RefCell<Inbox>>,
}

#[derive(Debug)]
struct State {
    stream: stream::Stream,
    reader: Option<Waker>,
    writer: Option<Waker>,
    frame: Vec<u8>,
    is_dropped: bool,
}

#[derive(Debug)]
struct Handlers {
    open: Closure<dyn FnMut()>,
    message: Closure<dyn FnMut(MessageEvent)>,
    low: Closure<dyn FnMut()>,
    close: Closure<dyn FnMut()>,
}

impl Channel {
    /// Takes over the data channel; nothing may have arrived on it yet.
    pub(super) fn attach(
        inner: RtcDataChannel,
        max_frame: usize,
        inbox: Rc<RefCell<Inbox>>,
    ) -> Rc<Self> {
        let high_water = match max_frame > stream::DEFAULT_MAX_FRAME {
            true => HIGH_WATER,
            false => HIGH_WATER_SMALL,
        };
        let state = State {
            stream: stream::Stream::new(max_frame),
            reader: None,
            writer: None,
            frame: Vec::new(),
            is_dropped: false,
        };
        let channel = Rc::new(Self {
            inner: RefCell::new(inner),
            high_water,
            state: RefCell::new(state),
            handlers: RefCell::new(None),
            trial: RefCell::new(None),
            inbox,
        });
        *channel.handlers.borrow_mut() = Some(Handlers::new(&channel));
        channel.listen();
        channel
    }

    /// Sets the browser's channel up and attaches the handlers to it.
    pub(super) fn listen(&self) {
        let inner = self.inner.borrow();
        inner.set_binary_type(RtcDataChannelType::Arraybuffer);
        inner.set_buffered_amount_low_threshold(self.high_water / 2);
        if let Some(handlers) = &*self.handlers.borrow() {
            handlers.attach(&inner);
        }
    }

    /// Detaches the handlers from the browser's channel.
    pub(super) fn detach(&self) {
        let inner = self.inner.borrow();
        inner.set_onopen(None);
        inner.set_onmessage(None);
        inner.set_onbufferedamountlow(None);
        inner.set_onclose(None);
    }

    /// Whether the stream's owner has dropped it.
    pub(super) fn is_dropped(&self) -> bool {
        self.state.borrow().is_dropped
    }

    /// Whether nothing is left to say or hear on this channel.
    pub(super) fn is_done(&self) -> bool {
        self.state.borrow().stream.is_done()
    }

    /// Whether both directions are finished, and the channel is still there.
    pub(super) fn is_finished(&self) -> bool {
        self.state.borrow().stream.is_finished()
    }

    /// Bytes the browser has not sent yet.
    pub(super) fn unsent(&self) -> u32 {
        let inner = self.inner.borrow();
        match inner.ready_state() {
            RtcDataChannelState::Open | RtcDataChannelState::Closing => inner.buffered_amount(),
            _ => 0,
        }
    }

    /// Detaches the handlers and closes the channel; what was sent before still goes out. Not to be called by a handler.
    pub(super) fn shut(&self) {
        self.detach();
        drop(self.handlers.borrow_mut().take());
        drop(self.trial.borrow_mut().take());
        self.inner.borrow().close();
        self.change(|state| state.stream.lost());
    }

    fn on_message(&self, event: &MessageEvent) {
        let bytes = event
            .data()
            .dyn_into::<ArrayBuffer>()
            .map(|buffer| Uint8Array::new(&buffer).to_vec());
        self.change(|state| match bytes {
            // A bad frame has reset the stream; its reader learns that from the stream.
            Ok(bytes) => drop(state.stream.receive(bytes)),
            Err(_) => state.stream.reset(),
        });
        self.send_control();
        self.report();
    }

    /// Changes the stream and wakes both its halves.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let (reader, writer) = {
            let mut state = self.state.borrow_mut();
            change(&mut state);
            let is_writable = state.stream.check_writable().is_ok();
            (
                state.reader.take(),
                if is_writable {
                    None
                } else {
                    state.writer.take()
                },
            )
        };
        reader.into_iter().chain(writer).for_each(Waker::wake);
    }

    /// Sends what waited for the channel, and lets the writer go on.
    pub(super) fn resume(&self) {
        self.send_control();
        let writer = self.state.borrow_mut().writer.take();
        writer.into_iter().for_each(Waker::wake);
    }

    fn send_control(&self) {
        if self.trial.borrow().is_some() {
            return;
        }
        let inner = self.inner.borrow();
        while inner.ready_state() == RtcDataChannelState::Open {
            let Some(frame) = self.state.borrow_mut().stream.poll_control() else {
                return;
            };
            if inner.send_with_u8_array(&frame).is_err() {
                self.change(|state| state.stream.lost());
            }
        }
    }

    /// Tells the connection what it must act on.
    fn report(&self) {
        let is_done = self.is_done();
        let is_news = is_done || !self.inbox.borrow().is_heard;
        if is_news {
            notify(&self.inbox, |inbox| {
                inbox.is_heard = true;
                inbox.is_sweep_due |= is_done;
            });
        }
    }

    pub(super) fn on_lost(&self) {
        self.change(|state| state.stream.lost());
        notify(&self.inbox, |inbox| inbox.is_sweep_due = true);
    }
}

impl Handlers {
    fn new(channel: &Rc<Channel>) -> Self {
        let open = Closure::<dyn FnMut()>::new({
            let channel = Rc::downgrade(channel);
            move || {
                let Some(channel) = channel.upgrade() else {
                    return;
                };
                channel.on_open();
            }
        });
        let message = Closure::<dyn FnMut(MessageEvent)>::new({
            let channel = Rc::downgrade(channel);
            move |event: MessageEvent| {
                let Some(channel) = channel.upgrade() else {
                    return;
                };
                channel.on_message(&event);
            }
        });
        let low = Closure::<dyn FnMut()>::new({
            let channel = Rc::downgrade(channel);
            move || {
                let Some(channel) = channel.upgrade() else {
                    return;
                };
                channel.on_low();
            }
        });
        let close = Closure::<dyn FnMut()>::new({
            let channel = Rc::downgrade(channel);
            move || {
                let Some(channel) = channel.upgrade() else {
                    return;
                };
                channel.on_lost();
            }
        });
        Self {
            open,
            message,
            low,
            close,
        }
    }

    fn attach(&self, inner: &RtcDataChannel) {
        inner.set_onopen(Some(self.open.as_ref().unchecked_ref()));
        inner.set_onmessage(Some(self.message.as_ref().unchecked_ref()));
        inner.set_onbufferedamountlow(Some(self.low.as_ref().unchecked_ref()));
        inner.set_onclose(Some(self.close.as_ref().unchecked_ref()));
    }
}

/// A libp2p stream over a data channel. Dropping it unfinished resets it; finished, the channel is closed once the remote
/// has acknowledged.
#[derive(Debug)]
pub struct Stream {
    channel: SendWrapper<Rc<Channel>>,
}

impl Stream {
    pub(super) fn new(channel: Rc<Channel>) -> Self {
        Self {
            channel: SendWrapper::new(channel),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.channel.state.borrow_mut();
        match state.stream.read(into) {
            Ok(Read::Data(len)) => Poll::Ready(Ok(len)),
            Ok(Read::End) => Poll::Ready(Ok(0)),
            Ok(Read::Pending) => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(io_error(error))),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let channel = &self.channel;
        let mut state = channel.state.borrow_mut();
        let state = &mut *state;
        state.stream.check_writable().map_err(io_error)?;
        if channel.trial.borrow().is_some() {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let inner = channel.inner.borrow();
        match inner.ready_state() {
            RtcDataChannelState::Open if inner.buffered_amount() < channel.high_water => {}
            RtcDataChannelState::Open | RtcDataChannelState::Connecting => {
                state.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
            _ => return Poll::Ready(Err(io_error(StreamError::Closed))),
        }
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let len = state
            .stream
            .write(data, &mut state.frame)
            .map_err(io_error)?;
        let sent = inner.send_with_u8_array(&state.frame);
        Poll::Ready(
            sent.map(|()| len)
                .map_err(|_| io_error(StreamError::Closed)),
        )
    }

    /// Ready at once: every write is handed to the browser as it comes.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Sends FIN. Does not wait for the acknowledgement, which peers without FIN_ACK never send; the connection does, and
    /// closes the data channel then.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.channel.change(|state| state.stream.finish());
        self.channel.send_control();
        self.channel.report();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let channel = &self.channel;
        {
            let mut state = channel.state.borrow_mut();
            state.stream.abandon();
            state.is_dropped = true;
            (state.reader, state.writer) = (None, None);
            state.frame = Vec::new();
        }
        channel.send_control();
        notify(&channel.inbox, |inbox| inbox.is_sweep_due = true);
    }
}

fn io_error(error: StreamError) -> io::Error {
    let kind = match error {
        StreamError::Reset => io::ErrorKind::ConnectionReset,
        StreamError::Closed => io::ErrorKind::UnexpectedEof,
        StreamError::Stopped | StreamError::Finished => io::ErrorKind::BrokenPipe,
        _ => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, error)
}

/// Bytes queued in the browser above which writers wait, until half of them are sent. Source: field notes §3, best
/// throughput at about 256 KiB; from there to 4 MiB `bench transfer` saw no difference.
const HIGH_WATER: u32 = 256 * 1024;
/// The same for small frames, which go to js-libp2p. Guess: with it and an equal queue there, 24 of 24 echoes of 10 MiB
/// took under 2 s, where larger queues stalled now and then.
const HIGH_WATER_SMALL: u32 = 64 * 1024;
