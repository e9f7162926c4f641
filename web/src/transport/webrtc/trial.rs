//! Channels on an SCTP stream that the remote gave away again before this side knew that it was free.
//!
//! To close a channel both sides reset its SCTP stream. Where the answer to this side's reset is lost, the remote has closed
//! and opens its next channel on the same stream (browsers take the lowest that is free) before the answer is sent once
//! more, 0.4 s later or more. Chromium 156 then ends the old channel ("Closed due to stream reuse."), hands out the new
//! one, and when the answer comes takes the stream for closed: what is sent then ends the new channel as well ("Failure to
//! send data"), on this side alone, and the remote waits for ever. Of channels opened one after another, with 1 or 2 % of
//! packets lost, that met one in 150 to 300 (Chromium with itself, js-libp2p, and Chorus before this).
//!
//! So the new channel is tried out before it carries the stream: it sends empty frames, which mean nothing (libp2p specs,
//! `webrtc/README.md`: both fields are optional), each when the last has left the browser. The first leaves once the answer
//! has come, and one of the next fails where the channel would have. Then a negotiated channel on the same stream takes
//! its place, and the remote sees no difference. Nothing is held up by it: until the answer comes the stream is paused.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    rc::{Rc, Weak},
};

use js_sys::{Function, Reflect};
use wasm_bindgen::{JsCast, JsValue, prelude::Closure};
use web_sys::{Event, RtcDataChannel, RtcDataChannelInit, RtcDataChannelState, RtcPeerConnection};

use super::{channel::Channel, peer_connection::Inbox};

/// A connection's channels on trial, and the streams on which the next channel will be.
#[derive(Debug, Default)]
pub(super) struct Trials {
    /// Ids of streams whose last channel ended with an error.
    suspects: BTreeSet<u16>,
    running: Vec<Weak<Channel>>,
}

impl Trials {
    /// Takes out the channel on trial that is the browser's `inner`; forgets those that are over.
    fn take(&mut self, inner: &RtcDataChannel) -> Option<Rc<Channel>> {
        let mut found = None;
        self.running.retain(|channel| {
            let channel = channel
                .upgrade()
                .filter(|channel| channel.trial.borrow().is_some());
            let Some(channel) = channel else {
                return false;
            };
            let is_it = *channel.inner.borrow() == *inner;
            if is_it {
                found = Some(channel);
            }
            !is_it
        });
        found
    }
}

/// A trial under way.
#[derive(Debug)]
pub(super) struct Trial {
    peer_connection: RtcPeerConnection,
    /// Empty frames sent.
    frames: usize,
    /// Whether a negotiated channel has taken the place, which is good as soon as it is open.
    is_replaced: bool,
}

/// Returns the handler of errors for the channels that the remote opens. It outlives them: an error may come after this side
/// has let go of a channel.
pub(super) fn error_handler(inbox: &Rc<RefCell<Inbox>>) -> Function {
    let inbox = Rc::downgrade(inbox);
    let handler = Closure::<dyn FnMut(Event)>::new(move |event: Event| {
        let target = event.target().and_then(|target| target.dyn_into().ok());
        if let (Some(inbox), Some(inner)) = (inbox.upgrade(), target) {
            on_error(&inbox, &inner);
        }
    });
    handler.into_js_value().unchecked_into()
}

fn on_error(inbox: &RefCell<Inbox>, inner: &RtcDataChannel) {
    let channel = inbox.borrow_mut().trials.take(inner);
    match (channel, inner.id()) {
        (Some(channel), _) => channel.replace(),
        (None, Some(id)) => {
            inbox.borrow_mut().trials.suspects.insert(id);
        }
        (None, None) => {}
    }
}

/// Tries out a channel that came, where the last one on its stream ended with an error.
pub(super) fn begin_where_due(
    channel: &Rc<Channel>,
    inbox: &RefCell<Inbox>,
    peer_connection: &RtcPeerConnection,
) {
    let id = channel.inner.borrow().id();
    {
        let trials = &mut inbox.borrow_mut().trials;
        if !id.is_some_and(|id| trials.suspects.remove(&id)) {
            return;
        }
        trials.running.push(Rc::downgrade(channel));
    }
    *channel.trial.borrow_mut() = Some(Trial {
        peer_connection: peer_connection.clone(),
        frames: 0,
        is_replaced: false,
    });
    channel.inner.borrow().set_buffered_amount_low_threshold(0);
    channel.on_open();
}

impl Channel {
    /// Goes on where the browser's channel is open: with the trial, or with the stream.
    pub(super) fn on_open(&self) {
        if self.inner.borrow().ready_state() != RtcDataChannelState::Open {
            return;
        }
        let trial = self
            .trial
            .borrow()
            .as_ref()
            .map(|trial| (trial.frames, trial.is_replaced));
        match trial {
            None => self.resume(),
            Some((_, true)) => self.pass(),
            Some((0, false)) => self.send_empty(),
            Some((_, false)) => {}
        }
    }

    /// Goes on after what was sent has left.
    pub(super) fn on_low(&self) {
        let frames = self.trial.borrow().as_ref().map(|trial| trial.frames);
        match frames {
            None => self.resume(),
            Some(FRAMES..) => self.pass(),
            Some(_) => self.send_empty(),
        }
    }

    fn send_empty(&self) {
        if let Some(trial) = &mut *self.trial.borrow_mut() {
            trial.frames += 1;
        }
        // Where this fails the channel is over, and its end is told as an event.
        drop(self.inner.borrow().send_with_u8_array(&EMPTY_FRAME));
    }

    /// Ends the trial: the channel carries the stream.
    fn pass(&self) {
        drop(self.trial.borrow_mut().take());
        self.listen();
        self.resume();
    }

    /// Lets a negotiated channel take the place of the one that failed.
    fn replace(&self) {
        self.detach();
        let Some(mut trial) = self.trial.borrow_mut().take() else {
            return;
        };
        let Ok(replacement) = negotiated(&trial.peer_connection, &self.inner.borrow()) else {
            return self.on_lost();
        };
        trial.is_replaced = true;
        *self.trial.borrow_mut() = Some(trial);
        *self.inner.borrow_mut() = replacement;
        self.listen();
        self.on_open();
    }
}

/// Makes a channel on the stream of `last`, of which the remote is not told.
fn negotiated(
    peer_connection: &RtcPeerConnection,
    last: &RtcDataChannel,
) -> Result<RtcDataChannel, JsValue> {
    let init = RtcDataChannelInit::new();
    init.set_negotiated(true);
    init.set_id(last.id().ok_or(JsValue::UNDEFINED)?);
    // Throws where the connection is closed or the browser still has a channel there; web-sys would not catch that.
    let create: Function =
        Reflect::get(peer_connection, &"createDataChannel".into())?.dyn_into()?;
    let channel: RtcDataChannel = create
        .call2(peer_connection, &last.label().into(), &init)?
        .dyn_into()?;
    channel.set_onerror(last.onerror().as_ref());
    Ok(channel)
}

/// The frame of no flag and no payload: its length, 0.
const EMPTY_FRAME: [u8; 1] = [0];
/// Empty frames that leave before a channel is trusted. The first two may leave, the second without arriving, before the
/// browser tells that the channel is over; what it tells of the third comes after that.
const FRAMES: usize = 3;
