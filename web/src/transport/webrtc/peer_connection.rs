//! One `RTCPeerConnection` with its handlers: what the browser reports is queued here and wakes who waits.
//!
//! Handlers only queue and wake; they never drop what owns them. They are detached when this is dropped, and with them go
//! all references, so that the browser can collect the connection: Chromium refuses about the 500th even when earlier
//! ones were closed, until they are collected.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    task::{Context, Waker},
    time::Duration,
};

use chorus_core::webrtc::{
    signaling::{Candidate, INIT_LABEL, MAX_CANDIDATES},
    stream::DEFAULT_MAX_FRAME,
};
use futures_timer::Delay;
use js_sys::{Array, Function, Reflect};
use wasm_bindgen::{JsCast, JsValue, prelude::Closure};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    RtcConfiguration, RtcDataChannel, RtcDataChannelEvent, RtcIceCandidateInit, RtcIceServer,
    RtcIceTransportPolicy, RtcPeerConnection, RtcPeerConnectionIceEvent, RtcPeerConnectionState,
    RtcSdpType, RtcSessionDescriptionInit,
};

use super::{
    Error,
    channel::Channel,
    trial::{self, Trials},
};
use crate::transport::Config;

/// Returns how many peer connections of this page are alive or closed and not yet collected.
pub fn live() -> usize {
    LIVE.with(Cell::get)
}

/// Wakers of the tasks that wait for the same thing.
#[derive(Debug, Default)]
pub(super) struct Wakers(Vec<Waker>);

impl Wakers {
    pub(super) fn register(&mut self, cx: &Context<'_>) {
        if !self.0.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.0.push(cx.waker().clone());
        }
    }

    /// Takes the wakers out, so that they are woken when nothing is borrowed.
    pub(super) fn take(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.0)
    }
}

/// What happened and was not looked at yet.
#[derive(Debug)]
pub(super) struct Inbox {
    pub(super) candidates: VecDeque<Candidate>,
    pub(super) channels: VecDeque<Rc<Channel>>,
    pub(super) state: RtcPeerConnectionState,
    /// Something arrived on some data channel: the remote's muxer runs.
    pub(super) is_heard: bool,
    /// Some channel may be finished or lost.
    pub(super) is_sweep_due: bool,
    pub(super) max_frame: usize,
    pub(super) trials: Trials,
    /// Data channels refused because too many were waiting.
    pub(super) refused: u64,
    pub(super) wakers: Wakers,
}

/// The connection.
#[derive(Debug)]
pub(super) struct PeerConnection {
    inner: RtcPeerConnection,
    pub(super) inbox: Rc<RefCell<Inbox>>,
    _handlers: Handlers,
}

#[derive(Debug)]
struct Handlers {
    _candidate: Closure<dyn FnMut(RtcPeerConnectionIceEvent)>,
    _channel: Closure<dyn FnMut(RtcDataChannelEvent)>,
    _state: Closure<dyn FnMut()>,
}

impl PeerConnection {
    /// Creates one with its handlers attached, within the page's budget.
    pub(super) fn create(config: &Config) -> Result<Self, Error> {
        if live() >= MAX_LIVE {
            return Err(Error::Budget {
                live: live(),
                max: MAX_LIVE,
            });
        }
        let inner =
            RtcPeerConnection::new_with_configuration(&configuration(config)).map_err(browser)?;
        Ok(Self::of(inner))
    }

    /// Attaches the handlers.
    fn of(inner: RtcPeerConnection) -> Self {
        count(&inner);
        let inbox = Rc::new(RefCell::new(Inbox {
            candidates: VecDeque::new(),
            channels: VecDeque::new(),
            state: RtcPeerConnectionState::New,
            is_heard: false,
            is_sweep_due: false,
            max_frame: DEFAULT_MAX_FRAME,
            trials: Trials::default(),
            refused: 0,
            wakers: Wakers::default(),
        }));
        let handlers = Handlers::attach(&inner, &inbox);
        Self {
            inner,
            inbox,
            _handlers: handlers,
        }
    }

    /// Begins to make an answer. What was begun before is done first (W3C WebRTC, "operations chain").
    pub(super) fn create_answer(&self) -> impl Future<Output = Result<String, Error>> + use<> {
        let made = JsFuture::from(self.inner.create_answer());
        async { sdp_of(made.await) }
    }

    pub(super) async fn set_local_answer(&self, sdp: &str) -> Result<(), Error> {
        set_local(&self.inner, RtcSdpType::Answer, sdp).await
    }

    /// Begins to apply the remote's description.
    pub(super) fn set_remote(
        &self,
        kind: RtcSdpType,
        sdp: &str,
    ) -> impl Future<Output = Result<(), Error>> + use<> {
        let description = RtcSessionDescriptionInit::new(kind);
        description.set_sdp(sdp);
        let applied = JsFuture::from(self.inner.set_remote_description(&description));
        async { applied.await.map(drop).map_err(browser) }
    }

    /// Adds a candidate of the remote's. One that the browser refuses leaves the others.
    pub(super) fn add_candidate(&self, candidate: &Candidate) {
        let init = RtcIceCandidateInit::new(&candidate.candidate);
        init.set_sdp_mid(candidate.sdp_mid.as_deref());
        let index = candidate
            .sdp_m_line_index
            .or(candidate.sdp_mid.is_none().then_some(0));
        init.set_sdp_m_line_index(index);
        let added = self
            .inner
            .add_ice_candidate_with_opt_rtc_ice_candidate_init(Some(&init));
        spawn_local(async move { drop(JsFuture::from(added).await) });
    }

    pub(super) fn create_data_channel(&self, label: &str) -> RtcDataChannel {
        self.inner.create_data_channel(label)
    }

    pub(super) async fn statistics(inner: RtcPeerConnection) -> Result<JsValue, Error> {
        JsFuture::from(inner.get_stats()).await.map_err(browser)
    }

    /// Another reference to the browser's object.
    pub(super) fn reference(&self) -> RtcPeerConnection {
        self.inner.clone()
    }

    pub(super) fn close(&self) {
        self.inner.close();
    }
}

impl Drop for PeerConnection {
    fn drop(&mut self) {
        self.inner.set_onicecandidate(None);
        self.inner.set_ondatachannel(None);
        self.inner.set_onconnectionstatechange(None);
        self.inner.close();
    }
}

impl Handlers {
    fn attach(inner: &RtcPeerConnection, inbox: &Rc<RefCell<Inbox>>) -> Self {
        let candidate = Closure::<dyn FnMut(RtcPeerConnectionIceEvent)>::new({
            let inbox = inbox.clone();
            move |event: RtcPeerConnectionIceEvent| {
                let Some(candidate) = event.candidate() else {
                    return;
                };
                let candidate = Candidate {
                    candidate: candidate.candidate(),
                    sdp_mid: candidate.sdp_mid(),
                    sdp_m_line_index: candidate.sdp_m_line_index(),
                    username_fragment: Reflect::get(&candidate, &"usernameFragment".into())
                        .ok()
                        .and_then(|fragment| fragment.as_string()),
                };
                notify(&inbox, |inbox| {
                    if !candidate.candidate.is_empty() && inbox.candidates.len() < MAX_CANDIDATES {
                        inbox.candidates.push_back(candidate);
                    }
                });
            }
        });
        let channel = Closure::<dyn FnMut(RtcDataChannelEvent)>::new({
            let (inbox, inner) = (inbox.clone(), inner.clone());
            let on_error = trial::error_handler(&inbox);
            move |event: RtcDataChannelEvent| {
                let channel = event.channel();
                channel.set_onerror(Some(&on_error));
                on_channel(&inbox, &inner, channel);
            }
        });
        let state = Closure::<dyn FnMut()>::new({
            // A clone of the reference: the closure is owned by the same `PeerConnection`, which detaches it.
            let (inbox, inner) = (inbox.clone(), inner.clone());
            move || {
                let state = inner.connection_state();
                notify(&inbox, |inbox| inbox.state = state);
            }
        });
        inner.set_onicecandidate(Some(candidate.as_ref().unchecked_ref()));
        inner.set_ondatachannel(Some(channel.as_ref().unchecked_ref()));
        inner.set_onconnectionstatechange(Some(state.as_ref().unchecked_ref()));
        Self {
            _candidate: candidate,
            _channel: channel,
            _state: state,
        }
    }
}

/// One made ahead, with its certificate, for the next peer: making one holds up the page for some milliseconds, which are
/// best taken while nothing else is to be done.
#[derive(Clone, Debug, Default)]
pub(super) struct Spare(Rc<RefCell<Option<PeerConnection>>>);

impl Spare {
    /// Begins with `made`, or with none.
    pub(super) fn new(made: Option<RtcPeerConnection>) -> Self {
        Self(Rc::new(RefCell::new(made.map(PeerConnection::of))))
    }

    /// Returns the spare one, or one made now.
    pub(super) fn next(&self, config: &Config) -> Result<PeerConnection, Error> {
        let spare = self.0.borrow_mut().take();
        spare.map_or_else(|| PeerConnection::create(config), Ok)
    }

    /// Makes one a little later, unless there is one or the page has many.
    pub(super) fn refill_later(&self, config: &Rc<Config>) {
        let (spare, config) = (self.clone(), config.clone());
        spawn_local(async move {
            Delay::new(REFILL_AFTER).await;
            spare.refill(&config);
        });
    }

    fn refill(&self, config: &Config) {
        let mut spare = self.0.borrow_mut();
        if spare.is_none() && live() < MAX_AHEAD {
            // What fails here fails again, and is reported, when one is needed.
            *spare = PeerConnection::create(config).ok();
        }
    }
}

/// Creates an offer, which is not applied yet.
pub(super) async fn create_offer(inner: &RtcPeerConnection) -> Result<String, Error> {
    sdp_of(JsFuture::from(inner.create_offer()).await)
}

/// Applies the own description; addresses are gathered from then on.
pub(super) async fn set_local(
    inner: &RtcPeerConnection,
    kind: RtcSdpType,
    sdp: &str,
) -> Result<(), Error> {
    let description = RtcSessionDescriptionInit::new(kind);
    description.set_sdp(sdp);
    let applied = inner.set_local_description(&description);
    JsFuture::from(applied).await.map_err(browser)?;
    Ok(())
}

/// Takes a channel the remote opened; its handlers are attached before anything can arrive on it.
fn on_channel(inbox: &Rc<RefCell<Inbox>>, inner: &RtcPeerConnection, channel: RtcDataChannel) {
    if channel.label() == INIT_LABEL {
        return;
    }
    let (waiting, max_frame) = {
        let inbox = inbox.borrow();
        (inbox.channels.len(), inbox.max_frame)
    };
    if waiting >= MAX_WAITING_CHANNELS {
        channel.close();
        inbox.borrow_mut().refused += 1;
        return;
    }
    let channel = Channel::attach(channel, max_frame, inbox.clone());
    trial::begin_where_due(&channel, inbox, inner);
    notify(inbox, |inbox| inbox.channels.push_back(channel));
}

/// Changes the inbox and wakes who waits for it.
pub(super) fn notify(inbox: &Rc<RefCell<Inbox>>, change: impl FnOnce(&mut Inbox)) {
    let wakers = {
        let mut inbox = inbox.borrow_mut();
        change(&mut inbox);
        inbox.wakers.take()
    };
    wakers.into_iter().for_each(Waker::wake);
}

/// What the browser threw, as an error.
pub(super) fn browser(thrown: JsValue) -> Error {
    let text = thrown
        .dyn_ref::<js_sys::Error>()
        .map(|error| String::from(error.message()));
    // DOMException is not an Error to wasm-bindgen's `instanceof` in every browser.
    let text = text.or_else(|| Reflect::get(&thrown, &"message".into()).ok()?.as_string());
    Error::Browser(text.unwrap_or_else(|| format!("{thrown:?}")))
}

fn sdp_of(description: Result<JsValue, JsValue>) -> Result<String, Error> {
    let sdp = Reflect::get(&description.map_err(browser)?, &"sdp".into()).map_err(browser)?;
    sdp.as_string()
        .ok_or_else(|| Error::Browser("a description without SDP".into()))
}

fn configuration(config: &Config) -> RtcConfiguration {
    let servers = Array::new();
    for server in &config.ice_servers {
        let item = RtcIceServer::new();
        item.set_urls(&server.urls.iter().map(JsValue::from).collect::<Array>());
        if let Some(username) = &server.username {
            item.set_username(username);
        }
        if let Some(credential) = &server.credential {
            item.set_credential(credential);
        }
        servers.push(&item);
    }
    let configuration = RtcConfiguration::new();
    configuration.set_ice_servers(&servers);
    if config.relay_only {
        configuration.set_ice_transport_policy(RtcIceTransportPolicy::Relay);
    }
    configuration
}

/// Counts a peer connection until the browser has collected it (`FinalizationRegistry`); forever where it cannot tell.
fn count(inner: &RtcPeerConnection) {
    LIVE.with(|live| live.set(live.get() + 1));
    REGISTRY.with(|registry| {
        let Some((registry, register)) = registry else {
            return;
        };
        // `register` throws only when the target is no object.
        let _ = register.call2(registry, inner, &JsValue::UNDEFINED);
    });
}

fn finalization_registry() -> Option<(JsValue, Function)> {
    let constructor: Function = Reflect::get(&js_sys::global(), &"FinalizationRegistry".into())
        .ok()?
        .dyn_into()
        .ok()?;
    let on_collected =
        Closure::<dyn FnMut()>::new(|| LIVE.with(|live| live.set(live.get().saturating_sub(1))));
    // One per page, for the page's life.
    let on_collected = on_collected.into_js_value();
    let registry = Reflect::construct(&constructor, &Array::of1(&on_collected)).ok()?;
    let register = Reflect::get(&registry, &"register".into())
        .ok()?
        .dyn_into()
        .ok()?;
    Some((registry, register))
}

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
    static REGISTRY: Option<(JsValue, Function)> = finalization_registry();
}

/// Time until the next spare one is made. Guess: whoever was connected last has said by then what it wanted to say.
const REFILL_AFTER: Duration = Duration::from_secs(1);
/// Peer connections alive or uncollected below which one is made before it is needed. Guess: a page that has many, or
/// dials many that are gone, is in no hurry, and browsers count them.
pub(super) const MAX_AHEAD: usize = 16;
/// Peer connections alive or uncollected above which none is made. Source: Chromium 156 refuses about the 500th.
const MAX_LIVE: usize = 400;
/// Data channels the remote opened that nobody took yet. Guess: far above what a swarm lets negotiate at once (128).
const MAX_WAITING_CHANNELS: usize = 256;
