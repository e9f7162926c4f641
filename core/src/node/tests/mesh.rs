//! Nodes wired together in virtual time: every message is delivered, in order, unless a test says otherwise.

use alloc::collections::BTreeSet;

use super::*;
use crate::time::Timestamp;

/// What a wire does to an answer on its way back.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Line {
    Honest,
    Garbage,
    Silent,
    Malformed,
}

pub(super) struct Host {
    pub(super) key: Keypair,
    pub(super) node: Node,
    pub(super) store: BTreeMap<ContentId, Vec<u8>>,
    pub(super) events: Vec<Event>,
    pub(super) replies: BTreeMap<u64, Result<Reply, NodeError>>,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) dialled: Vec<PeerId>,
    pub(super) served: usize,
    pub(super) line: Line,
    pub(super) pinned: BTreeSet<ContentId>,
    pub(super) provided: BTreeSet<ContentId>,
    /// Whether its store keeps nothing more.
    pub(super) is_full: bool,
}

pub(super) struct Mesh {
    pub(super) hosts: Vec<Host>,
    pub(super) links: BTreeSet<(usize, usize)>,
    pub(super) queue: VecDeque<(usize, Input)>,
    pub(super) pending: BTreeMap<(usize, u64), (usize, u64)>,
    pub(super) now: Now,
    pub(super) token: u64,
}

impl Mesh {
    pub(super) fn new(configs: Vec<Config>) -> Self {
        let now = Now {
            instant: Instant::from_micros(0),
            wall: Timestamp::from_millis(1_800_000_000_000),
        };
        let hosts = configs
            .into_iter()
            .enumerate()
            .map(|(i, config)| {
                let key = Keypair::from_seed(&[i as u8 + 1; 32]);
                Host {
                    node: Node::new(key.peer_id(), config, now),
                    key,
                    store: BTreeMap::new(),
                    events: Vec::new(),
                    replies: BTreeMap::new(),
                    verdicts: Vec::new(),
                    dialled: Vec::new(),
                    served: 0,
                    line: Line::Honest,
                    pinned: BTreeSet::new(),
                    provided: BTreeSet::new(),
                    is_full: false,
                }
            })
            .collect();
        Self {
            hosts,
            links: BTreeSet::new(),
            queue: VecDeque::new(),
            pending: BTreeMap::new(),
            now,
            token: 0,
        }
    }

    pub(super) fn tabs(count: usize) -> Self {
        Self::new(vec![Config::default(); count])
    }

    pub(super) fn id(&self, host: usize) -> PeerId {
        self.hosts[host].key.peer_id()
    }

    pub(super) fn host_of(&self, peer: PeerId) -> usize {
        self.hosts
            .iter()
            .position(|h| h.key.peer_id() == peer)
            .unwrap()
    }

    pub(super) fn connect(&mut self, a: usize, b: usize) {
        self.links.insert((a.min(b), a.max(b)));
        for (from, to) in [(a, b), (b, a)] {
            let (peer, role) = (
                self.id(to),
                if self.hosts[to].node.config.forward {
                    Role::Relay
                } else {
                    Role::Member
                },
            );
            self.input(
                from,
                Input::Connected {
                    peer,
                    connection: to as u64,
                    path: Path::Direct,
                },
            );
            self.input(from, Input::Identified { peer, role });
            self.input(from, Input::Subscribed(peer));
        }
        self.run();
    }

    pub(super) fn disconnect(&mut self, a: usize, b: usize) {
        self.links.remove(&(a.min(b), a.max(b)));
        for (from, to) in [(a, b), (b, a)] {
            let peer = self.id(to);
            self.input(
                from,
                Input::Disconnected {
                    peer,
                    connection: to as u64,
                },
            );
        }
        self.run();
    }

    pub(super) fn linked(&self, a: usize, b: usize) -> bool {
        self.links.contains(&(a.min(b), a.max(b)))
    }

    pub(super) fn input(&mut self, host: usize, input: Input) {
        self.queue.push_back((host, input));
    }

    pub(super) fn command(&mut self, host: usize, command: Command) -> u64 {
        self.token += 1;
        let id = self.token;
        self.input(host, Input::Command(id, command));
        self.run();
        id
    }

    pub(super) fn run(&mut self) {
        let mut steps = 0;
        while let Some((host, input)) = self.queue.pop_front() {
            steps += 1;
            assert!(steps < 100_000, "the mesh does not come to rest");
            self.hosts[host].node.handle(self.now, input);
            loop {
                match self.hosts[host].node.poll_output() {
                    Output::Idle { .. } => break,
                    output => self.carry_out(host, output),
                }
            }
        }
    }

    /// Lets time pass, waking every node when it asks to be woken.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now.instant + time;
        loop {
            let wake = self.hosts.iter_mut().map(|h| match h.node.poll_output() {
                Output::Idle { wake_at } => wake_at,
                output => panic!("left over: {output:?}"),
            });
            let next = wake.min().unwrap().min(end);
            let step = next.saturating_duration_since(self.now.instant);
            self.now.instant = next;
            self.now.wall =
                Timestamp::from_millis(self.now.wall.as_millis() + step.as_millis() as u64);
            if next >= end {
                return;
            }
            for host in 0..self.hosts.len() {
                self.input(host, Input::Tick);
            }
            self.run();
        }
    }

    pub(super) fn carry_out(&mut self, host: usize, output: Output) {
        let local = self.id(host);
        match output {
            Output::Publish(data) => {
                for to in 0..self.hosts.len() {
                    if to != host && self.linked(host, to) {
                        self.token += 1;
                        let token = self.token;
                        self.input(
                            to,
                            Input::Gossip {
                                from: local,
                                token,
                                data: data.clone(),
                            },
                        );
                    }
                }
            }
            Output::Send { peer, id, request } => {
                let to = self.host_of(peer);
                assert!(self.linked(host, to), "sends only where it is connected");
                let request = Request::decode(&request.encode()).unwrap();
                self.token += 1;
                self.pending.insert((to, self.token), (host, id));
                let token = self.token;
                self.input(
                    to,
                    Input::Request {
                        peer: local,
                        token,
                        request,
                    },
                );
            }
            Output::Respond { token, response } => {
                let (to, id) = self.pending.remove(&(host, token)).expect("answers once");
                let mut response = Response::decode(&response.encode()).unwrap();
                self.hosts[host].served += usize::from(matches!(response, Response::Block(_)));
                let result = match (self.hosts[host].line, &mut response) {
                    (Line::Silent, _) => return,
                    (Line::Malformed, _) => Err(Failure::Malformed),
                    (Line::Garbage, Response::Block(bytes)) => {
                        bytes[0] ^= 1;
                        Ok(response)
                    }
                    _ => Ok(response),
                };
                self.input(to, Input::Response { id, result });
            }
            Output::Load(cid) => {
                let bytes = self.hosts[host].store.get(&cid).cloned();
                self.input(host, Input::Loaded { cid, bytes });
            }
            Output::Store { cid, .. } if self.hosts[host].is_full => {
                self.input(host, Input::StoreFailed(cid));
            }
            Output::Store { cid, bytes, .. } => drop(self.hosts[host].store.insert(cid, bytes)),
            Output::Settle(id) => self.input(host, Input::Settled(id)),
            Output::Hash { id, .. } => self.input(host, Input::Hash(id)),
            Output::Free(cids) => {
                self.hosts[host].store.retain(|cid, _| !cids.contains(cid));
            }
            Output::Pin { cids, is_pinned } => {
                let pinned = &mut self.hosts[host].pinned;
                pinned.retain(|cid| !cids.contains(cid));
                pinned.extend(cids.iter().filter(|_| is_pinned));
            }
            Output::Provide(cid) => drop(self.hosts[host].provided.insert(cid)),
            Output::Withdraw(cid) => drop(self.hosts[host].provided.remove(&cid)),
            Output::Reply(id, result) => drop(self.hosts[host].replies.insert(id, result)),
            Output::Emit(event) => self.hosts[host].events.push(event),
            Output::Verdict { verdict, .. } => self.hosts[host].verdicts.push(verdict),
            Output::Dial(peer) => self.hosts[host].dialled.push(peer),
            Output::Disconnect {
                peer,
                connection: None,
            } => {
                let to = self.host_of(peer);
                self.links.remove(&(host.min(to), host.max(to)));
                self.input(
                    host,
                    Input::Disconnected {
                        peer,
                        connection: to as u64,
                    },
                );
                self.input(
                    to,
                    Input::Disconnected {
                        peer: local,
                        connection: host as u64,
                    },
                );
            }
            // The DHT of the whole mesh.
            Output::FindProviders(cid) => {
                let holders = self.hosts.iter().enumerate();
                let holders =
                    holders.filter(|(at, other)| *at != host && other.provided.contains(&cid));
                let peers: Vec<_> = holders.map(|(at, _)| self.id(at)).collect();
                if !peers.is_empty() {
                    self.input(host, Input::Providers { cid, peers });
                }
            }
            Output::Disconnect { .. }
            | Output::Discover
            | Output::Purge(_)
            | Output::Idle { .. } => {}
        }
    }

    pub(super) fn share(&mut self, host: usize, content: &[u8]) -> ContentId {
        self.share_with(host, content, |_| {})
    }

    pub(super) fn share_with(
        &mut self,
        host: usize,
        content: &[u8],
        change: impl FnOnce(&mut PacketDraft),
    ) -> ContentId {
        let (mut draft, blocks) = if content.len() <= 1024 {
            (PacketDraft::inline("note", content.to_vec()), Vec::new())
        } else {
            let (manifest, leaves) = split(content);
            let root = manifest.to_block().unwrap();
            let draft = PacketDraft::link(
                "file",
                root.cid,
                content.len() as u64,
                Digest::sha256(content),
            );
            (draft, leaves.chain([root]).collect())
        };
        change(&mut draft);
        self.publish_with(host, draft, blocks)
    }

    /// Shares a packet whose content is inline.
    pub(super) fn publish(&mut self, host: usize, draft: PacketDraft) -> ContentId {
        self.publish_with(host, draft, Vec::new())
    }

    fn publish_with(&mut self, host: usize, draft: PacketDraft, blocks: Vec<Block>) -> ContentId {
        let packet = draft
            .sign(&self.hosts[host].key, "main", self.now.wall)
            .unwrap();
        let cid = packet.cid();
        self.command(host, Command::Share { packet, blocks });
        cid
    }

    /// Ends a node and starts it again with what its store holds; its connections are gone.
    pub(super) fn restart(&mut self, host: usize) {
        self.links.retain(|(a, b)| *a != host && *b != host);
        let config = self.hosts[host].node.config.clone();
        let now = self.now;
        let restarted = &mut self.hosts[host];
        restarted.node = Node::new(restarted.key.peer_id(), config, now);
        restarted.events.clear();
        let kept: Vec<_> = restarted.store.values().cloned().collect();
        for bytes in kept {
            self.input(host, Input::Restored(bytes));
        }
        self.input(host, Input::Tick);
        self.run();
    }

    pub(super) fn knows(&self, host: usize, cid: &ContentId) -> bool {
        self.hosts[host].node.library.get(cid).is_some()
    }

    pub(super) fn got(&self, host: usize, command: u64) -> &[u8] {
        match self.hosts[host].replies.get(&command) {
            Some(Ok(Reply::Object(_, content))) => content,
            other => panic!("no object: {other:?}"),
        }
    }
}
