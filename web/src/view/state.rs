//! What the page shows, and the one pure function that changes it.
//!
//! No DOM, no clock, no network: the same actions give the same state on every target. Every list is bounded.

use std::rc::Rc;

use chorus_core::{learner::Classes, status::Category};

use super::link::Link;

/// Everything the page shows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    /// How far the start came.
    pub phase: Phase,
    /// This peer's id, once it is up.
    pub id: Option<Rc<str>>,
    /// The network's name, once the peer is up.
    pub network: Rc<str>,
    /// How this peer is doing, as its node says.
    pub category: Option<Category>,
    /// Connected peers: members by id, then relays.
    pub peers: Rc<Vec<PeerRow>>,
    /// Peers that left a moment ago: id and when, in ms since the Unix epoch. Newest last.
    pub departed: Rc<Vec<(Rc<str>, f64)>>,
    /// Packets in and out, newest first.
    pub packets: Rc<Vec<PacketRow>>,
    /// Packets in since the start.
    pub packets_in: u64,
    /// Packets out since the start.
    pub packets_out: u64,
    /// Files shared and offered, newest first.
    pub files: Rc<Vec<FileRow>>,
    /// What the model learned.
    pub learner: Rc<LearnerView>,
    /// Something that went wrong and is worth saying, in plain words.
    pub notice: Option<Rc<str>>,
}

/// How far the start came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Phase {
    /// The module, the key and the storage are being loaded.
    #[default]
    Starting,
    /// The peer runs.
    Up,
    /// The peer cannot run; why, in plain words.
    Failed(Rc<str>),
    /// The peer was closed.
    Closed,
}

/// How a peer is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Browser to browser, or any other connection without a middleman.
    Direct,
    /// Only through a relay.
    Relayed,
    /// The peer is itself a relay.
    Relay,
}

impl Kind {
    /// Returns the word used in `data-kind` and in the JavaScript API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relayed => "relayed",
            Self::Relay => "relay",
        }
    }
}

/// One connected peer.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerRow {
    /// Its id.
    pub id: Rc<str>,
    /// How it is reached.
    pub kind: Kind,
    /// Whether it said what it is.
    pub is_known: bool,
    /// Last round-trip time in ms.
    pub round_trip_ms: Option<f64>,
    /// Packets first learned from it.
    pub packets_in: u64,
    /// Bytes received from it.
    pub bytes_in: u64,
    /// Bytes served to it.
    pub bytes_out: u64,
}

/// One packet that came or went.
#[derive(Debug, Clone, PartialEq)]
pub struct PacketRow {
    /// Its content id.
    pub cid: Rc<str>,
    /// Its type, such as `weights` or `file`.
    pub packet_type: Rc<str>,
    /// Its author.
    pub author: Rc<str>,
    /// Whether this peer made it.
    pub is_own: bool,
    /// Content size in bytes.
    pub size: u64,
    /// When it came or went, in ms since the Unix epoch.
    pub at_ms: f64,
}

/// One file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileRow {
    /// The packet's content id.
    pub cid: Rc<str>,
    /// The file's name, as its author gave it.
    pub name: Rc<str>,
    /// Size in bytes.
    pub size: u64,
    /// Who shared it.
    pub author: Rc<str>,
    /// How far it is.
    pub stage: FileStage,
    /// Whether it is sealed, for this tab or for others.
    pub is_sealed: bool,
    /// Whether it is what a model has learned, and can be let into another.
    pub is_engram: bool,
}

/// How far a file is.
#[derive(Debug, Clone, PartialEq)]
pub enum FileStage {
    /// Somebody offers it; nothing was fetched yet.
    Offered,
    /// Being fetched: bytes received so far.
    Fetching(u64),
    /// Here; the object URL to save it from, revoked with the row.
    Ready(Rc<Link>),
    /// Shared by this tab.
    Own,
    /// Could not be fetched; why, in plain words.
    Failed(Rc<str>),
}

impl FileStage {
    /// Returns the word used in `data-state`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Fetching(_) => "fetching",
            Self::Ready(_) => "ready",
            Self::Own => "own",
            Self::Failed(_) => "failed",
        }
    }
}

/// What the model learned so far.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LearnerView {
    /// Whether the digits are here and learning can be switched on.
    pub is_ready: bool,
    /// Whether it trains and exchanges.
    pub is_running: bool,
    /// The digits this tab holds; none before it has chosen.
    pub own: Classes,
    /// The digits that the connected tabs say they hold.
    pub others: Classes,
    /// Rounds of exchange done.
    pub exchanges: u64,
    /// Number of the last round.
    pub round: u64,
    /// Held-out accuracy of the merged model, 0..=1.
    pub accuracy: Option<f64>,
    /// Held-out accuracy of the model that never heard from anyone, 0..=1.
    pub alone: Option<f64>,
    /// How many neighbours took part in the last exchange.
    pub partners: usize,
    /// Whether what is shared has noise that hides single digits.
    pub is_private: bool,
    /// ε that private learning has spent.
    pub epsilon: Option<f64>,
    /// Whether this profile has shared what it learned without noise before.
    pub was_open: bool,
    /// The two curves, oldest first, at most [`MAX_POINTS`].
    pub curve: Vec<Point>,
    /// Grows whenever the model changed, so that what it says about a drawing is asked again.
    pub revision: u64,
}

/// One step of the curves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Exchanges done.
    pub exchange: u64,
    /// Accuracy with the others, 0..=1.
    pub together: f64,
    /// Accuracy alone, 0..=1.
    pub alone: f64,
}

/// Something that changes what the page shows.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// The peer is up.
    Started {
        /// Its id.
        id: Rc<str>,
        /// The network's name.
        network: Rc<str>,
    },
    /// The peer cannot run.
    Failed(Rc<str>),
    /// The peer was closed.
    Closed,
    /// The node's category changed.
    CategoryChanged(Category),
    /// A peer connected or how it is connected changed.
    PeerChanged(PeerRow),
    /// A peer's last connection is gone.
    PeerLeft {
        /// Who.
        id: Rc<str>,
        /// When, in ms since the Unix epoch.
        at_ms: f64,
    },
    /// A packet came or went.
    PacketSeen(PacketRow),
    /// A file was shared or offered.
    FileSeen(FileRow),
    /// A packet's author took it back.
    PacketRevoked(Rc<str>),
    /// A file's fetch began, came further or ended.
    FileMoved {
        /// Which.
        cid: Rc<str>,
        /// How far.
        stage: FileStage,
    },
    /// A sealed file was opened: what it is called.
    FileNamed {
        /// Which.
        cid: Rc<str>,
        /// Its name, which was inside.
        name: Rc<str>,
    },
    /// Who holds which digits is known, or has changed.
    Held {
        /// Those of this tab; none before it has chosen.
        own: Classes,
        /// Those that the connected tabs say they hold.
        others: Classes,
    },
    /// A learner begins anew, from a model that knows nothing.
    LearnerStarted {
        /// Whether what it shares has noise.
        is_private: bool,
    },
    /// What the learner shares from here on has noise.
    LearnedPrivately {
        /// ε that is spent before.
        epsilon: f64,
        /// Whether this profile has shared what it learned without noise before.
        was_open: bool,
    },
    /// Learning was switched on or off.
    LearningSwitched(bool),
    /// The model trained by itself: accuracies with the others so far, and alone.
    Trained {
        /// Accuracy with the others, 0..=1.
        accuracy: f64,
        /// Accuracy alone, 0..=1.
        alone: f64,
    },
    /// A round of exchange is done.
    Merged {
        /// The round's number.
        round: u64,
        /// Accuracy with the others, 0..=1.
        accuracy: f64,
        /// Accuracy alone, 0..=1.
        alone: f64,
        /// Neighbours that took part.
        partners: usize,
        /// ε that is spent, where learning is private.
        epsilon: Option<f64>,
    },
    /// Something is worth saying.
    Noticed(Rc<str>),
    /// What was said was read.
    NoticeDismissed,
}

impl State {
    /// Returns the state after `action`.
    #[must_use]
    pub fn after(&self, action: Action) -> Self {
        let mut next = self.clone();
        next.apply(action);
        next
    }

    /// Returns how many connected peers are no relays.
    pub fn members(&self) -> usize {
        let is_member = |p: &&PeerRow| p.is_known && p.kind != Kind::Relay;
        self.peers.iter().filter(is_member).count()
    }

    /// Returns whether the file of packet `cid` is sealed.
    pub fn has_sealed(&self, cid: &str) -> bool {
        self.files
            .iter()
            .any(|file| &*file.cid == cid && file.is_sealed)
    }

    /// Returns how many connected peers are relays.
    pub fn relays(&self) -> usize {
        let is_relay = |p: &&PeerRow| p.kind == Kind::Relay;
        self.peers.iter().filter(is_relay).count()
    }

    /// Returns how this peer is doing.
    pub fn own_category(&self) -> Category {
        match self.phase {
            Phase::Starting => Category::Unknown,
            Phase::Failed(_) | Phase::Closed => Category::Offline,
            Phase::Up
                if self
                    .files
                    .iter()
                    .any(|f| matches!(f.stage, FileStage::Fetching(_))) =>
            {
                Category::Busy
            }
            Phase::Up => self.category.unwrap_or(Category::Unknown),
        }
    }

    /// Returns what this peer is doing, in plain words.
    pub fn summary(&self) -> String {
        let members = self.members();
        match &self.phase {
            Phase::Starting => "Starting".into(),
            Phase::Failed(_) => "Not connected".into(),
            Phase::Closed => "Closed".into(),
            Phase::Up if members == 1 => "Connected to 1 other".into(),
            Phase::Up if members > 1 => format!("Connected to {members} others"),
            Phase::Up if self.relays() > 0 => "Waiting for others".into(),
            Phase::Up => "Looking for a way in".into(),
        }
    }

    /// Counts this peer and those it knows of by category, in the order of [`CATEGORIES`].
    pub fn census(&self) -> [usize; 5] {
        let mut count = [0; 5];
        let mut add =
            |category| count[CATEGORIES.iter().position(|c| *c == category).unwrap_or(4)] += 1;
        add(self.own_category());
        for peer in self.peers.iter().filter(|p| p.kind != Kind::Relay) {
            let known = peer.is_known || peer.round_trip_ms.is_some();
            add(if known {
                Category::Ready
            } else {
                Category::Unknown
            });
        }
        self.departed.iter().for_each(|_| add(Category::Offline));
        count
    }

    fn apply(&mut self, action: Action) {
        match action {
            Action::Started { id, network } => {
                self.phase = Phase::Up;
                self.id = Some(id);
                self.network = network;
            }
            Action::Failed(why) => self.phase = Phase::Failed(why),
            Action::Closed => {
                self.phase = Phase::Closed;
                self.peers = Rc::default();
            }
            Action::CategoryChanged(category) => self.category = Some(category),
            Action::PeerChanged(row) => self.on_peer(row),
            Action::PeerLeft { id, at_ms } => self.on_left(&id, at_ms),
            Action::PacketSeen(row) => self.on_packet(row),
            Action::FileSeen(row) => self.on_file(row),
            Action::PacketRevoked(cid) => {
                Rc::make_mut(&mut self.packets).retain(|p| p.cid != cid);
                Rc::make_mut(&mut self.files).retain(|f| f.cid != cid);
            }
            Action::FileMoved { cid, stage } => self.with_file(&cid, |file| file.stage = stage),
            Action::FileNamed { cid, name } => self.with_file(&cid, |file| {
                file.is_engram |= name.ends_with(".engram");
                file.name = name;
            }),
            Action::Held { own, others } => {
                let learner = Rc::make_mut(&mut self.learner);
                (learner.own, learner.others) = (own, others);
            }
            Action::LearnerStarted { is_private } => {
                self.learner = Rc::new(LearnerView {
                    is_private,
                    revision: self.learner.revision + 1,
                    ..LearnerView::default()
                });
            }
            Action::LearnedPrivately { epsilon, was_open } => {
                let learner = Rc::make_mut(&mut self.learner);
                (learner.epsilon, learner.was_open) = (Some(epsilon), was_open);
            }
            Action::LearningSwitched(on) => {
                let learner = Rc::make_mut(&mut self.learner);
                (learner.is_ready, learner.is_running) = (true, on);
            }
            Action::Trained { accuracy, alone } => {
                let learner = Rc::make_mut(&mut self.learner);
                learner.record(accuracy, alone);
            }
            Action::Merged {
                round,
                accuracy,
                alone,
                partners,
                epsilon,
            } => {
                let learner = Rc::make_mut(&mut self.learner);
                learner.exchanges += 1;
                learner.epsilon = epsilon.or(learner.epsilon);
                learner.round = round;
                learner.partners = partners;
                learner.record(accuracy, alone);
            }
            Action::Noticed(text) => self.notice = Some(text),
            Action::NoticeDismissed => self.notice = None,
        }
    }

    fn on_peer(&mut self, row: PeerRow) {
        if self.departed.iter().any(|(id, _)| *id == row.id) {
            Rc::make_mut(&mut self.departed).retain(|(id, _)| *id != row.id);
        }
        let peers = Rc::make_mut(&mut self.peers);
        match peers.iter().position(|p| p.id == row.id) {
            Some(at) => peers[at] = row,
            None if peers.len() < MAX_PEERS => peers.push(row),
            None => return,
        }
        peers.sort_by(|a, b| (a.kind == Kind::Relay, &a.id).cmp(&(b.kind == Kind::Relay, &b.id)));
    }

    fn on_left(&mut self, id: &str, at_ms: f64) {
        let Some(at) = self.peers.iter().position(|p| &*p.id == id) else {
            return;
        };
        let gone = Rc::make_mut(&mut self.peers).remove(at);
        let departed = Rc::make_mut(&mut self.departed);
        departed.retain(|(_, left)| at_ms - left < DEPARTED_MS);
        if gone.kind != Kind::Relay {
            departed.push((gone.id, at_ms));
            let surplus = departed.len().saturating_sub(MAX_DEPARTED);
            departed.drain(..surplus);
        }
    }

    fn on_packet(&mut self, row: PacketRow) {
        if self.packets.iter().any(|p| p.cid == row.cid) {
            return;
        }
        *(if row.is_own {
            &mut self.packets_out
        } else {
            &mut self.packets_in
        }) += 1;
        let packets = Rc::make_mut(&mut self.packets);
        packets.insert(0, row);
        packets.truncate(MAX_PACKETS);
    }

    fn on_file(&mut self, row: FileRow) {
        if self.files.iter().any(|f| f.cid == row.cid) {
            return;
        }
        let files = Rc::make_mut(&mut self.files);
        files.insert(0, row);
        files.truncate(MAX_FILES);
    }

    fn with_file(&mut self, cid: &str, change: impl FnOnce(&mut FileRow)) {
        let files = Rc::make_mut(&mut self.files);
        if let Some(file) = files.iter_mut().find(|file| &*file.cid == cid) {
            change(file);
        }
    }
}

impl LearnerView {
    fn record(&mut self, together: f64, alone: f64) {
        self.accuracy = Some(together);
        self.alone = Some(alone);
        self.revision += 1;
        let point = Point {
            exchange: self.exchanges,
            together,
            alone,
        };
        match self.curve.last_mut() {
            Some(last) if last.exchange == point.exchange => *last = point,
            _ => self.curve.push(point),
        }
        if self.curve.len() > MAX_POINTS {
            // Every second point goes; the newest stays.
            let keep = self.curve.len() % 2;
            let mut index = 0;
            self.curve.retain(|_| {
                index += 1;
                index % 2 == keep
            });
        }
    }
}

/// The categories in the order in which they are shown.
pub const CATEGORIES: [Category; 5] = [
    Category::Ready,
    Category::Proven,
    Category::Busy,
    Category::Offline,
    Category::Unknown,
];

/// Returns a category's word.
pub fn word(category: Category) -> &'static str {
    match category {
        Category::Ready => "Ready",
        Category::Proven => "Proven",
        Category::Busy => "Busy",
        Category::Offline => "Offline",
        Category::Unknown => "Not known yet",
    }
}

/// Returns a category's class, also used in `data-category` and the JavaScript API.
pub fn class(category: Category) -> &'static str {
    match category {
        Category::Ready => "ready",
        Category::Proven => "proven",
        Category::Busy => "busy",
        Category::Offline => "offline",
        Category::Unknown => "unknown",
    }
}

/// Connected peers shown. Guess: more than a page can show well; the node itself keeps fewer.
pub const MAX_PEERS: usize = 256;
/// Packets listed. Guess: a few minutes of a busy mesh.
pub const MAX_PACKETS: usize = 60;
/// Files listed. Guess.
pub const MAX_FILES: usize = 60;
/// Points of a curve. Guess: two per pixel of a phone.
pub const MAX_POINTS: usize = 600;
/// Peers remembered after they left. Guess.
const MAX_DEPARTED: usize = 32;
/// How long a peer that left counts as offline, in ms. Guess: a minute.
const DEPARTED_MS: f64 = 60_000.0;

#[cfg(test)]
pub(super) mod tests;
