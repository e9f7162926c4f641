use std::cell::Cell;

use super::*;

pub(in crate::view) fn peer(id: &str, kind: Kind) -> PeerRow {
    PeerRow {
        id: id.into(),
        kind,
        is_known: true,
        round_trip_ms: None,
        packets_in: 0,
        bytes_in: 0,
        bytes_out: 0,
    }
}

fn packet(cid: &str, is_own: bool) -> PacketRow {
    PacketRow {
        cid: cid.into(),
        packet_type: "weights".into(),
        author: "a".into(),
        is_own,
        size: 1,
        at_ms: 0.0,
    }
}

fn run(actions: impl IntoIterator<Item = Action>) -> State {
    actions
        .into_iter()
        .fold(State::default(), |state, action| state.after(action))
}

#[test]
fn relays_are_counted_apart_and_listed_last() {
    let state = run([
        Action::PeerChanged(peer("a-relay", Kind::Relay)),
        Action::PeerChanged(peer("c", Kind::Direct)),
        Action::PeerChanged(peer("b", Kind::Relayed)),
    ]);
    assert_eq!((state.members(), state.relays()), (2, 1));
    let order: Vec<&str> = state.peers.iter().map(|p| &*p.id).collect();
    assert_eq!(order, ["b", "c", "a-relay"]);
}

#[test]
fn a_peer_that_left_is_offline_until_it_returns() {
    let left = run([
        Action::PeerChanged(peer("a", Kind::Direct)),
        Action::PeerLeft {
            id: "a".into(),
            at_ms: 5.0,
        },
    ]);
    assert_eq!(left.members(), 0);
    assert_eq!(left.census(), [0, 0, 0, 1, 1]);
    let back = left.after(Action::PeerChanged(peer("a", Kind::Direct)));
    assert_eq!(back.census(), [1, 0, 0, 0, 1]);
}

#[test]
fn a_packet_counts_once_and_the_list_is_bounded() {
    let mut state = run([
        Action::PacketSeen(packet("x", false)),
        Action::PacketSeen(packet("x", false)),
    ]);
    assert_eq!(
        (state.packets_in, state.packets_out, state.packets.len()),
        (1, 0, 1)
    );
    for n in 0..200 {
        state = state.after(Action::PacketSeen(packet(&n.to_string(), true)));
    }
    assert_eq!((state.packets_out, state.packets.len()), (200, MAX_PACKETS));
    assert_eq!(&*state.packets[0].cid, "199");
}

#[test]
fn the_curve_is_thinned_but_keeps_its_newest_point() {
    let state = run((0..2000).map(|round| Action::Merged {
        round,
        accuracy: round as f64 / 2000.0,
        alone: 0.2,
        partners: 3,
        epsilon: None,
    }));
    assert!(state.learner.curve.len() <= MAX_POINTS);
    assert_eq!(state.learner.exchanges, 2000);
    assert_eq!(state.learner.curve.last().map(|p| p.exchange), Some(2000));
    assert!(
        state
            .learner
            .curve
            .windows(2)
            .all(|w| w[0].exchange < w[1].exchange)
    );
}

fn file() -> FileRow {
    FileRow {
        cid: "f".into(),
        name: "a.txt".into(),
        size: 10,
        author: "a".into(),
        stage: FileStage::Offered,
        is_sealed: false,
        is_engram: false,
    }
}

#[test]
fn what_its_author_takes_back_is_no_longer_listed() {
    let state = run([
        Action::PacketSeen(packet("f", false)),
        Action::PacketSeen(packet("x", false)),
        Action::FileSeen(file()),
        Action::PacketRevoked("f".into()),
    ]);
    assert!(state.files.is_empty());
    assert_eq!(
        state.packets.iter().map(|p| &*p.cid).collect::<Vec<_>>(),
        ["x"]
    );
}

#[test]
fn the_address_of_a_file_is_given_up_with_its_row() {
    thread_local! {
        static GIVEN_UP: Cell<usize> = const { Cell::new(0) };
    }
    let ready = || Action::FileMoved {
        cid: "f".into(),
        stage: FileStage::Ready(Rc::new(Link {
            url: "blob:f".into(),
            revoke: |_| GIVEN_UP.set(GIVEN_UP.get() + 1),
        })),
    };
    let listed = run([Action::FileSeen(file()), ready()]);
    assert_eq!(GIVEN_UP.get(), 0);
    let gone = listed.after(Action::PacketRevoked("f".into()));
    drop(listed);
    assert_eq!(GIVEN_UP.get(), 1);
    // It was being fetched when its row went.
    let gone = gone.after(ready());
    assert_eq!(GIVEN_UP.get(), 2);
    let other = |n: usize| FileRow {
        cid: n.to_string().into(),
        ..file()
    };
    let listed = gone.after(Action::FileSeen(file())).after(ready());
    let full = (0..MAX_FILES).fold(listed, |state, n| state.after(Action::FileSeen(other(n))));
    assert_eq!((full.files.len(), GIVEN_UP.get()), (MAX_FILES, 3));
}

#[test]
fn fetching_a_file_is_busy() {
    let state = run([
        Action::Started {
            id: "me".into(),
            network: "main".into(),
        },
        Action::CategoryChanged(Category::Ready),
        Action::FileSeen(file()),
    ]);
    assert_eq!(state.own_category(), Category::Ready);
    let busy = state.after(Action::FileMoved {
        cid: "f".into(),
        stage: FileStage::Fetching(3),
    });
    assert_eq!(busy.own_category(), Category::Busy);
}

#[test]
fn a_sealed_file_is_called_by_its_name_once_it_is_open() {
    let sealed = FileRow {
        is_sealed: true,
        ..file()
    };
    let state = run([Action::FileSeen(sealed)]);
    assert!(state.has_sealed("f") && !state.has_sealed("g"));
    let state = state.after(Action::FileNamed {
        cid: "f".into(),
        name: "wages.csv".into(),
    });
    assert_eq!(&*state.files[0].name, "wages.csv");
    assert!(!state.files[0].is_engram);
    let state = state.after(Action::FileNamed {
        cid: "f".into(),
        name: "tuned.safetensors.engram".into(),
    });
    assert!(state.files[0].is_engram);
}

#[test]
fn says_in_plain_words_how_it_is_doing() {
    let up = run([Action::Started {
        id: "me".into(),
        network: "main".into(),
    }]);
    assert_eq!(up.summary(), "Looking for a way in");
    let waiting = up.after(Action::PeerChanged(peer("r", Kind::Relay)));
    assert_eq!(waiting.summary(), "Waiting for others");
    let one = waiting.after(Action::PeerChanged(peer("a", Kind::Direct)));
    assert_eq!(one.summary(), "Connected to 1 other");
}

#[test]
fn a_learner_that_begins_anew_keeps_nothing_of_the_one_before() {
    let merged = Action::Merged {
        round: 1,
        accuracy: 0.5,
        alone: 0.2,
        partners: 1,
        epsilon: None,
    };
    let before = run([Action::LearningSwitched(true), merged]);
    let after = before.after(Action::LearnerStarted { is_private: true });
    assert!(after.learner.is_private && !after.learner.is_ready);
    assert_eq!((after.learner.exchanges, after.learner.accuracy), (0, None));
    // What is drawn is asked of the new model.
    assert!(after.learner.revision > before.learner.revision);
}
