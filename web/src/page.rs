//! Puts a view of a peer into an element: the dashboard, or what the widget shows.

mod control;
mod listener;
mod row;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use chorus_core::{
    digest::{ContentId, Digest},
    learner::{Classes, Digits},
    net::Event,
    node::{self, Role},
    packet::Packet,
};
use futures::{channel::oneshot, future};
use futures_timer::Delay;
use js_sys::{Array, Function, Object, Promise, Reflect, Uint8Array};
use serde::Deserialize;
use wasm_bindgen::{JsCast, prelude::*};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Blob, Element, Response, Url};
use yew::Renderer;

use crate::{
    api::{
        ChorusPeer, JoinOptions, error, name_of, object, packet_value, peer_value, set, size_of,
        status_value,
    },
    page::{
        control::PageControl,
        listener::{Listener, wake_listeners},
        row::{peer_left, peer_row},
    },
    peer::{Learner, Learning, Lesson, Options, Peer, StartError, Steps, text},
    ui::{App, AppProps, Controls, View},
    view::{
        link::Link,
        state::{Action, FileRow, FileStage, PacketRow},
        store::Store,
    },
};

/// How a view behaves, as JavaScript gives it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ViewOptions {
    /// Which digits this tab holds, such as `0,1,2`, for good; it chooses what the others lack otherwise.
    #[serde(default)]
    classes: Option<String>,
    /// Whether it learns from the start.
    #[serde(default)]
    train: bool,
    /// Whether it learns privately from the start.
    #[serde(default)]
    private: bool,
    /// `page`, `full`, `panel` or `bar`.
    view: String,
}

/// A view in an element; it and its peer end when this is closed.
#[wasm_bindgen]
pub struct Mounted {
    app: Option<yew::AppHandle<App>>,
    page: Rc<Page>,
    listeners: Vec<Listener>,
}

impl std::fmt::Debug for Mounted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mounted").finish_non_exhaustive()
    }
}

#[wasm_bindgen]
impl Mounted {
    /// Takes the view out of its element and closes the peer.
    pub async fn close(mut self) {
        self.page.is_closed.set(true);
        self.listeners.clear();
        // What was asked is answered with no; where there is no peer, or no dialog could be loaded, none is open.
        let _ = self.page.ask("close", &JsValue::NULL).await;
        if let Some(app) = self.app.take() {
            app.destroy();
        }
        self.page.learner.take();
        self.page.retry.take();
        // Not freed: a call may be under way, which the closed peer ends.
        self.page.api.take();
        let peer = self.page.peer.take();
        if let Some(peer) = peer {
            peer.close().await;
        }
    }
}

/// Shows a view in `root` and starts its peer. `on_event(name, value)` hears of `peer`, `packet`, `status` and `error`;
/// `dialogs` are those of `www/chorus.js`.
///
/// # Errors
/// An `Error` with code `ERR_INVALID_ARGUMENT`. That the peer could not start shows in the view.
#[wasm_bindgen]
pub fn mount(
    root: Element,
    join: JsValue,
    view: JsValue,
    dialogs: Object,
    on_event: Option<Function>,
) -> Result<Mounted, JsValue> {
    let invalid = |message: String| error("ERR_INVALID_ARGUMENT", &message);
    let options = JoinOptions::read(join)?;
    let how: ViewOptions =
        serde_wasm_bindgen::from_value(view).map_err(|e| invalid(format!("view: {e}")))?;
    let classes: Option<Classes> = how
        .classes
        .as_deref()
        .map(|c| c.parse().map_err(|e| invalid(format!("{e}"))))
        .transpose()?;
    let view = match how.view.as_str() {
        "page" => View::Page,
        "full" => View::Full,
        "panel" => View::Panel,
        "bar" => View::Bar,
        other => {
            return Err(invalid(format!(
                "view must be \"bar\", \"panel\" or \"full\", got {other:?}"
            )));
        }
    };
    let page = Rc::new(Page {
        dialogs,
        root: root.clone(),
        store: Rc::default(),
        peer: RefCell::default(),
        api: RefCell::default(),
        learner: RefCell::default(),
        digits: RefCell::default(),
        learners: Cell::default(),
        is_to_run: Cell::default(),
        given: Cell::default(),
        has_searched: Cell::default(),
        sampled: Cell::new(0),
        fetching: RefCell::default(),
        is_notifying: Cell::new(false),
        is_closed: Cell::new(false),
        retry: RefCell::default(),
        on_event,
    });
    let controls = Controls(Rc::new(PageControl(page.clone())));
    root.set_inner_html("");
    let app = Renderer::<App>::with_root_and_props(
        root,
        AppProps {
            store: page.store.clone(),
            controls,
            view,
        },
    )
    .render();
    let started = page.clone();
    spawn_local(async move {
        if let Some(peer) = started.start(&options).await {
            let base = options.relay.trim_end_matches('/');
            started
                .run(peer, base, classes, (how.train, how.private))
                .await;
        }
    });
    let listeners = wake_listeners(&page);
    Ok(Mounted {
        app: Some(app),
        page,
        listeners,
    })
}

struct Page {
    /// What is asked before anything leaves; see `www/dialog.js`.
    dialogs: Object,
    root: Element,
    store: Rc<Store>,
    peer: RefCell<Option<Peer>>,
    /// The same, as JavaScript sees it.
    api: RefCell<Option<JsValue>>,
    learner: RefCell<Option<Learner>>,
    digits: RefCell<Option<Arc<Digits>>>,
    /// How many learners were started.
    learners: Cell<u64>,
    /// Whether the last one was to run.
    is_to_run: Cell<bool>,
    /// The digits that it was given for good.
    given: Cell<Option<Classes>>,
    /// Whether the peer has looked for others already.
    has_searched: Cell<bool>,
    sampled: Cell<usize>,
    fetching: RefCell<BTreeSet<ContentId>>,
    is_notifying: Cell<bool>,
    is_closed: Cell<bool>,
    /// Ends the wait for the next attempt to start.
    retry: RefCell<Option<oneshot::Sender<()>>>,
    on_event: Option<Function>,
}

impl Page {
    /// Changes what is shown. Views are told once for all changes of a moment.
    fn change(self: &Rc<Self>, action: Action) {
        self.store.apply(action);
        if !self.is_notifying.replace(true) {
            let page = self.clone();
            spawn_local(async move {
                Delay::new(FRAME).await;
                page.is_notifying.set(false);
                page.store.notify();
            });
        }
    }

    fn report(&self, name: &str, value: &JsValue) {
        if let Some(on_event) = &self.on_event {
            // What a listener throws is its own affair.
            let _ = on_event.call2(&JsValue::NULL, &name.into(), value);
        }
    }

    fn report_error(&self, code: &str, message: &str) {
        self.report("error", &error(code, message));
    }

    /// Starts the peer, again and again while the relay cannot be reached. `None` where that is in vain, or the view was
    /// closed meanwhile.
    async fn start(self: &Rc<Self>, options: &Options) -> Option<Peer> {
        let mut wait = RETRY_FIRST;
        loop {
            let started = Peer::start(options.clone()).await;
            let is_closed = self.is_closed.get();
            match started {
                Ok(peer) if is_closed => {
                    peer.close().await;
                    return None;
                }
                Ok(peer) => return Some(peer),
                Err(_) if is_closed => return None,
                Err(failed) => {
                    self.report_error(failed.code(), &failed.to_string());
                    self.change(Action::Failed(failed.to_string().into()));
                    if !matches!(failed, StartError::Relay { .. }) {
                        return None;
                    }
                }
            }
            let (sender, at_once) = oneshot::channel();
            self.retry.replace(Some(sender));
            future::select(Delay::new(wait), at_once).await;
            if self.is_closed.get() {
                return None;
            }
            wait = RETRY_MOST.min(wait * 2);
        }
    }

    /// Reconnects at once, or starts the peer at once where it waits to.
    fn wake(&self) {
        if let Some(peer) = &*self.peer.borrow() {
            peer.handle.wake();
        }
        // Dropped: the wait is over.
        self.retry.take();
    }

    async fn run(
        self: &Rc<Self>,
        peer: Peer,
        base: &str,
        given: Option<Classes>,
        (train, is_private): (bool, bool),
    ) {
        *self.peer.borrow_mut() = Some(peer.clone());
        *self.api.borrow_mut() = Some(ChorusPeer::of(peer.clone()).into());
        let id = peer.handle.id();
        self.change(Action::Started {
            id: id.to_string().into(),
            network: peer.handle.network().into(),
        });
        if let Some(why) = &peer.setback {
            self.change(Action::Noticed(
                format!("This tab will be forgotten when it closes: {why}").into(),
            ));
        }
        // Weak: the peer ends with the page, and the watch with the peer.
        let page = Rc::downgrade(self);
        peer.watch_storage(move |reason| {
            let Some(page) = page.upgrade() else { return };
            page.report_error("ERR_NOT_KEPT", &reason);
            page.change(Action::Noticed(
                format!(
                    "What this tab stores ends with it, the browser does not keep it: {reason}"
                )
                .into(),
            ));
        });
        let page = self.clone();
        peer.watch(move |event| page.on_event(event)).await;
        // What an earlier load of the page kept, oldest first, so that the newest ends up on top.
        if let Ok(kept) = peer.handle.query(node::Filter::default()).await {
            for packet in kept.iter().rev() {
                self.on_packet(packet, packet.author() == id);
            }
        }

        self.given.set(given);
        match fetch_digits(base).await {
            Ok(digits) => {
                *self.digits.borrow_mut() = Some(Arc::new(digits));
                self.learn(train, is_private).await;
            }
            Err(why) => self.change(Action::Noticed(
                format!("There is nothing to learn from: {why}").into(),
            )),
        }
    }

    /// Starts a learner, in place of the one there is.
    async fn learn(self: &Rc<Self>, train: bool, is_private: bool) {
        self.learner.take();
        let mine = self.learners.get() + 1;
        self.learners.set(mine);
        self.is_to_run.set(train);
        let (peer, digits) = (self.peer.borrow().clone(), self.digits.borrow().clone());
        let (Some(peer), Some(digits)) = (peer, digits) else {
            return;
        };
        self.change(Action::LearnerStarted { is_private });
        let private = if is_private {
            match self.steps(&peer).await {
                Ok(steps) => Some(steps),
                Err(why) => return self.cannot_learn(&why),
            }
        } else {
            None
        };
        if self.learners.get() != mine {
            return;
        }
        let id = Digest::sha256(peer.handle.id().to_string().as_bytes());
        let learning = Learning {
            digits,
            given: self.given.get(),
            seed: u64::from_le_bytes(id.as_bytes()[..8].try_into().unwrap_or_default()),
            has_searched: self.has_searched.get(),
            private,
        };
        let page = self.clone();
        let on_lesson = move |lesson| match lesson {
            Lesson::Alone { accuracy } => {
                let together = page
                    .store
                    .state()
                    .learner
                    .accuracy
                    .unwrap_or_else(|| f64::from(accuracy));
                page.change(Action::Trained {
                    accuracy: together,
                    alone: f64::from(accuracy),
                });
            }
            Lesson::Merged {
                round,
                accuracy,
                alone,
                partners,
                epsilon,
            } => page.change(Action::Merged {
                round,
                accuracy: f64::from(accuracy),
                alone: f64::from(alone),
                partners,
                epsilon,
            }),
            Lesson::Private { epsilon, was_open } => {
                page.change(Action::LearnedPrivately { epsilon, was_open })
            }
            Lesson::Held { own, others } => page.change(Action::Held { own, others }),
        };
        match Learner::start(peer, learning, on_lesson).await {
            // Another was asked for meanwhile.
            _ if self.learners.get() != mine => {}
            Ok(learner) => {
                let train = self.is_to_run.get();
                learner.switch(train);
                *self.learner.borrow_mut() = Some(learner);
                self.change(Action::LearningSwitched(train));
            }
            Err(why) => self.cannot_learn(&why),
        }
    }

    /// Asks the second module for the steps of private learning.
    async fn steps(&self, peer: &Peer) -> Result<Steps, String> {
        if !peer.records.is_kept() {
            return Err("private learning needs a browser that keeps its budget".into());
        }
        let steps = self.ask("training", &JsValue::NULL).await?;
        Ok(steps.unchecked_into())
    }

    /// Says why there is no learner. Not openly instead: that is for the person to say.
    fn cannot_learn(self: &Rc<Self>, why: &str) {
        self.change(Action::LearningSwitched(false));
        let text = format!("This tab cannot learn like this: {why}");
        self.change(Action::Noticed(text.into()));
    }

    fn on_event(self: &Rc<Self>, event: Event) {
        match event {
            Event::Node(node::Event::PeerChanged(info)) => {
                self.report("peer", &peer_value(&info));
                // Who turns out to speak another network's protocols is not part of this mesh.
                self.change(if info.role == Role::Stranger {
                    peer_left(info.peer)
                } else {
                    Action::PeerChanged(peer_row(&info))
                });
            }
            Event::Node(node::Event::PeerLeft(peer)) => {
                let value = object();
                set(&value, "id", &peer.to_string().into());
                set(&value, "left", &true.into());
                self.report("peer", &value);
                self.change(peer_left(peer));
            }
            Event::Node(node::Event::PacketReceived { packet, .. }) => {
                self.report("packet", &packet_value(&packet, None));
                self.on_packet(&packet, false);
            }
            Event::Node(node::Event::PacketShared(packet)) => self.on_packet(&packet, true),
            Event::Node(node::Event::Revoked { cid, .. }) => {
                self.change(Action::PacketRevoked(cid.to_string().into()));
            }
            Event::Node(node::Event::Progressed { cid, received, .. })
                if self.fetching.borrow().contains(&cid) =>
            {
                let stage = FileStage::Fetching(received);
                self.change(Action::FileMoved {
                    cid: cid.to_string().into(),
                    stage,
                });
            }
            Event::Node(node::Event::StatusChanged(status)) => {
                self.report("status", &status_value(&status));
                self.change(Action::CategoryChanged(status.category));
            }
            Event::Reserved(_) => self.has_searched.set(true),
            Event::StoreFailed(why) => self.change(Action::Noticed(
                format!("A block was not kept: {why}").into(),
            )),
            _ => {}
        }
    }

    fn on_packet(self: &Rc<Self>, packet: &Packet, is_own: bool) {
        let cid: Rc<str> = packet.cid().to_string().into();
        let author: Rc<str> = packet.author().to_string().into();
        let size = size_of(packet);
        self.change(Action::PacketSeen(PacketRow {
            cid: cid.clone(),
            packet_type: packet.packet_type().into(),
            author: author.clone(),
            is_own,
            size,
            at_ms: js_sys::Date::now(),
        }));
        let is_sealed = packet.packet_type() == SEALED;
        let is_engram = packet.packet_type() == ENGRAM;
        if is_sealed || is_engram || packet.packet_type() == FILE {
            let stage = if is_own {
                FileStage::Own
            } else {
                FileStage::Offered
            };
            let name = match name_of(packet) {
                _ if is_sealed => "Something sealed".into(),
                Some(name) => name.into(),
                None => "unnamed".into(),
            };
            self.change(Action::FileSeen(FileRow {
                cid,
                name,
                size,
                author,
                stage,
                is_sealed,
                is_engram,
            }));
        }
    }

    /// Calls one of the dialogs with the peer, `subject` and the view's element.
    async fn ask(&self, dialog: &str, subject: &JsValue) -> Result<JsValue, String> {
        let peer = self.api.borrow().clone().ok_or("the peer is not up")?;
        let call: Function = Reflect::get(&self.dialogs, &dialog.into())
            .and_then(JsCast::dyn_into)
            .map_err(|_| format!("there is no dialog “{dialog}”"))?;
        let answer = call.call3(&JsValue::NULL, &peer, subject, &self.root);
        let answer = JsFuture::from(Promise::resolve(&answer.map_err(|e| text(&e))?)).await;
        answer.map_err(|e| text(&e))
    }

    async fn fetch(self: &Rc<Self>, cid: ContentId, is_sealed: bool) -> Result<FileStage, String> {
        let content = if is_sealed {
            self.open(cid).await?
        } else {
            let peer = self.peer.borrow().clone().ok_or("the peer is not up")?;
            let (_, content) = peer.handle.get(cid).await.map_err(|e| e.to_string())?;
            Uint8Array::from(&content[..])
        };
        let parts = Array::of1(&content);
        let blob = Blob::new_with_u8_array_sequence(&parts).map_err(|e| text(&e))?;
        let url = Url::create_object_url_with_blob(&blob).map_err(|e| text(&e))?;
        Ok(FileStage::Ready(Rc::new(Link { url, revoke })))
    }

    /// Fetches what is sealed, opens it and names the file as it is called inside.
    async fn open(self: &Rc<Self>, cid: ContentId) -> Result<Uint8Array, String> {
        let cid: Rc<str> = cid.to_string().into();
        let opened = self.ask("open", &(&*cid).into()).await?;
        let field = |name: &str| Reflect::get(&opened, &name.into()).map_err(|e| text(&e));
        if let Some(name) = field("name")?.as_string() {
            let name = name.into();
            self.change(Action::FileNamed { cid, name });
        }
        field("content")?
            .dyn_into()
            .map_err(|_| "nothing was inside".into())
    }
}

fn revoke(url: &str) {
    // One that is gone already is no error.
    let _ = Url::revoke_object_url(url);
}

async fn fetch_digits(base: &str) -> Result<Digits, String> {
    let window = web_sys::window().ok_or("there is no window")?;
    let url = format!("{base}/digits.bin");
    let answer = JsFuture::from(window.fetch_with_str(&url))
        .await
        .map_err(|e| text(&e))?;
    let answer: Response = answer.dyn_into().map_err(|_| "no response")?;
    if !answer.ok() {
        return Err(format!("the relay answers with status {}", answer.status()));
    }
    let buffer = JsFuture::from(answer.array_buffer().map_err(|e| text(&e))?)
        .await
        .map_err(|e| text(&e))?;
    Digits::parse(&Uint8Array::new(&buffer).to_vec()).map_err(|e| e.to_string())
}

/// The type of packets that carry a file.
const FILE: &str = "file";
/// The type of packets that carry what a model has learned.
const ENGRAM: &str = "engram";
/// The type of packets that carry what is sealed.
const SEALED: &str = "sealed";
/// Waits before the relay is asked again at the start: the first, doubled each time, and the longest. Guess.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_secs(30);
/// Views are told of changes at most once in this time.
const FRAME: Duration = Duration::from_millis(30);
