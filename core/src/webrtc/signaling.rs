//! Signaling between two browsers over a relayed stream: `/webrtc-signaling/0.0.1` (libp2p specs, `webrtc/webrtc.md`,
//! "Establishing a connection"). The side that dialled offers.
//!
//! Does no IO: a driver feeds [`Input`]s and performs the [`Output`]s in order. Authenticity is the relayed
//! connection's (its Noise handshake names the peer, and the DTLS fingerprint travels in the SDP), so a driver must
//! never run this over a stream whose peer it has not authenticated.

use alloc::{
    collections::VecDeque,
    string::{String, ToString},
    vec::Vec,
};

use serde::{Deserialize, Serialize};

use super::protobuf::{Fields, ProtobufError, Value, get_varint, put_bytes, put_uint, put_varint};

/// The signaling protocol's id.
pub const PROTOCOL: &str = "/webrtc-signaling/0.0.1";

/// Label of the data channel that makes the offer describe one; closed when the connection stands.
pub const INIT_LABEL: &str = "init";

/// Longest signaling message accepted, in bytes. Guess: ten times a browser's description with all its candidates.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// Most candidates taken from, or sent to, one remote. Guess: a host with many interfaces has some dozens.
pub const MAX_CANDIDATES: usize = 256;

/// Field of the offer and the answer that says the largest frame, prefix included and in bytes, the sender accepts.
/// High and unassigned, so that implementations that do not know it skip it (protobuf, "Unknown Fields").
pub const MAX_FRAME_FIELD: u32 = 19_411;

/// One signaling message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The dialler's session description.
    Offer {
        /// SDP text.
        sdp: String,
        /// Largest frame the sender accepts, when it is a Chorus peer.
        max_frame: Option<u32>,
    },
    /// The listener's session description.
    Answer {
        /// SDP text.
        sdp: String,
        /// Largest frame the sender accepts, when it is a Chorus peer.
        max_frame: Option<u32>,
    },
    /// `RTCIceCandidate.toJSON()` as text; `""` and `null` mean that there are no more.
    Candidate(String),
}

impl Message {
    /// Encodes the message with its length prefix.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, data, max_frame) = match self {
            Self::Offer { sdp, max_frame } => (OFFER, sdp, *max_frame),
            Self::Answer { sdp, max_frame } => (ANSWER, sdp, *max_frame),
            Self::Candidate(json) => (CANDIDATE, json, None),
        };
        let mut body = Vec::with_capacity(data.len() + 16);
        // `optional` in proto3: presence counts, so type 0 is written too (js-libp2p and the specification do).
        put_uint(&mut body, 1, kind);
        put_bytes(&mut body, 2, data.as_bytes());
        if let Some(max_frame) = max_frame {
            put_uint(&mut body, MAX_FRAME_FIELD, u64::from(max_frame));
        }
        let mut out = Vec::with_capacity(body.len() + 3);
        put_varint(&mut out, body.len() as u64);
        out.extend_from_slice(&body);
        out
    }

    /// Decodes a message without its length prefix.
    ///
    /// # Errors
    /// When the protobuf is malformed, the type is missing or unknown, or the data is not UTF-8.
    pub fn decode(body: &[u8]) -> Result<Self, SignalingError> {
        let (mut kind, mut data, mut max_frame) = (None, None, None);
        for field in Fields::of(body) {
            match field? {
                (1, Value::Varint(value)) => kind = Some(value),
                (2, Value::Bytes(bytes)) => data = Some(bytes),
                (MAX_FRAME_FIELD, Value::Varint(value)) => max_frame = u32::try_from(value).ok(),
                (number @ (1 | 2), _) => return Err(ProtobufError::Mismatch { number }.into()),
                _ => {}
            }
        }
        let data = core::str::from_utf8(data.unwrap_or_default())
            .map_err(|_| SignalingError::NotText)?
            .to_string();
        match kind {
            Some(OFFER) => Ok(Self::Offer {
                sdp: data,
                max_frame,
            }),
            Some(ANSWER) => Ok(Self::Answer {
                sdp: data,
                max_frame,
            }),
            Some(CANDIDATE) => Ok(Self::Candidate(data)),
            kind => Err(SignalingError::UnknownType { kind }),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Offer { .. } => "offer",
            Self::Answer { .. } => "answer",
            Self::Candidate(_) => "candidate",
        }
    }
}

/// Splits received bytes into messages. Holds at most [`MAX_MESSAGE`] bytes and a prefix beyond what it was just given.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
}

impl Decoder {
    /// Takes in bytes as they arrived, of any length.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next whole message, or `None` until more bytes arrive.
    ///
    /// # Errors
    /// When a message is longer than [`MAX_MESSAGE`] or malformed; the stream is then useless.
    pub fn next_message(&mut self) -> Result<Option<Message>, SignalingError> {
        let Some((len, prefix)) = get_varint(&self.buffer)? else {
            return Ok(None);
        };
        if len > MAX_MESSAGE as u64 {
            return Err(SignalingError::TooLong { len });
        }
        let end = prefix + len as usize;
        if self.buffer.len() < end {
            return Ok(None);
        }
        let message = Message::decode(&self.buffer[prefix..end]);
        self.buffer.drain(..end);
        message.map(Some)
    }
}

/// An ICE candidate as browsers exchange it. Unknown members are ignored; absent ones are `null`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The candidate attribute, `candidate:…`, without `a=`.
    pub candidate: String,
    /// Identification tag of the media description.
    #[serde(rename = "sdpMid", default)]
    pub sdp_mid: Option<String>,
    /// Index of the media description.
    #[serde(rename = "sdpMLineIndex", default)]
    pub sdp_m_line_index: Option<u16>,
    /// ICE username fragment.
    #[serde(rename = "usernameFragment", default)]
    pub username_fragment: Option<String>,
}

impl Candidate {
    /// Parses what a remote sent; `None` for the end of candidates (`""`, `null`, an empty candidate).
    ///
    /// node-datachannel writes the attribute with a leading `a=`, which is taken off.
    ///
    /// # Errors
    /// When the text is not JSON of a candidate.
    pub fn parse(json: &str) -> Result<Option<Self>, SignalingError> {
        if json.trim().is_empty() {
            return Ok(None);
        }
        let parsed: Option<Self> = serde_json::from_str::<Option<CandidateOrText>>(json)
            .map_err(|_| SignalingError::BadCandidate)?
            .and_then(CandidateOrText::candidate);
        let Some(mut candidate) = parsed else {
            return Ok(None);
        };
        if let Some(rest) = candidate.candidate.strip_prefix("a=") {
            candidate.candidate = rest.to_string();
        }
        Ok((!candidate.candidate.is_empty()).then_some(candidate))
    }

    /// The JSON that [`Message::Candidate`] carries.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What the driver tells the machine.
#[derive(Debug)]
pub enum Input<'a> {
    /// The local description asked for by [`Output::Describe`] was made (not yet applied).
    Described {
        /// SDP text.
        sdp: String,
    },
    /// A local candidate was gathered.
    Gathered(Candidate),
    /// Bytes arrived on the signaling stream.
    Received(&'a [u8]),
}

/// What the driver must do, in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Create an offer (offerer) or an answer (answerer) and pass it in as [`Input::Described`].
    Describe,
    /// Write these bytes to the signaling stream.
    Write(Vec<u8>),
    /// Apply the own description passed in before. Comes after the description is written, so that the remote's
    /// candidates and checks find a peer that already knows it (js-libp2p's order). An offer may have been applied since
    /// it was made.
    ApplyLocal,
    /// Apply the remote's description.
    ApplyRemote {
        /// SDP text.
        sdp: String,
    },
    /// Add the remote's candidate. A browser's refusal is to be noted, not fatal.
    AddCandidate(Candidate),
}

/// Which side of the signaling stream this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Opened the stream; sends the offer.
    Offerer,
    /// Accepted the stream; sends the answer.
    Answerer,
}

/// One attempt's state.
#[derive(Debug)]
pub struct Signaling {
    role: Role,
    state: State,
    decoder: Decoder,
    outputs: VecDeque<Output>,
    /// Gathered before the own description was written; sent right after it.
    early: Vec<Candidate>,
    sent: usize,
    received: usize,
    refused: usize,
    own_max_frame: u32,
    remote_max_frame: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Answerer: no offer yet.
    AwaitingOffer,
    /// The driver is making the own description.
    Describing,
    /// Offerer: the offer is out.
    AwaitingAnswer,
    /// Descriptions exchanged; candidates flow until the driver sees the connection stand or gives up.
    Exchanging,
}

impl Signaling {
    /// Starts an attempt. `max_frame` is the largest frame this peer accepts, in bytes with prefix.
    pub fn new(role: Role, max_frame: u32) -> Self {
        let mut outputs = VecDeque::new();
        let state = match role {
            Role::Offerer => {
                outputs.push_back(Output::Describe);
                State::Describing
            }
            Role::Answerer => State::AwaitingOffer,
        };
        Self {
            role,
            state,
            decoder: Decoder::default(),
            outputs,
            early: Vec::new(),
            sent: 0,
            received: 0,
            refused: 0,
            own_max_frame: max_frame,
            remote_max_frame: None,
        }
    }

    /// Takes in one input. Bounded work: linear in the bytes given.
    ///
    /// # Errors
    /// When the remote breaks the protocol; the attempt is over and the stream should be reset.
    pub fn handle(&mut self, input: Input<'_>) -> Result<(), SignalingError> {
        match input {
            Input::Described { sdp } => self.on_described(sdp),
            Input::Gathered(candidate) => {
                self.on_gathered(candidate);
                Ok(())
            }
            Input::Received(bytes) => {
                self.decoder.push(bytes);
                while let Some(message) = self.decoder.next_message()? {
                    self.on_message(message)?;
                }
                Ok(())
            }
        }
    }

    /// Returns the next thing to do, or `None` until the next input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether both descriptions have been exchanged.
    pub fn is_exchanging(&self) -> bool {
        self.state == State::Exchanging
    }

    /// Largest frame, in bytes with prefix, that may be sent to this remote.
    pub fn max_frame(&self) -> usize {
        let agreed = self
            .remote_max_frame
            .map(|remote| remote.min(self.own_max_frame) as usize);
        agreed
            .unwrap_or_default()
            .max(super::stream::DEFAULT_MAX_FRAME)
    }

    /// Number of remote candidates refused because they were malformed or above [`MAX_CANDIDATES`].
    pub fn refused(&self) -> usize {
        self.refused
    }

    fn on_described(&mut self, sdp: String) -> Result<(), SignalingError> {
        if self.state != State::Describing {
            return Err(SignalingError::Unexpected {
                got: "own description",
                state: self.expecting(),
            });
        }
        let max_frame = Some(self.own_max_frame);
        let (message, next) = match self.role {
            Role::Offerer => (Message::Offer { sdp, max_frame }, State::AwaitingAnswer),
            Role::Answerer => (Message::Answer { sdp, max_frame }, State::Exchanging),
        };
        self.state = next;
        self.outputs.push_back(Output::Write(message.encode()));
        self.outputs.push_back(Output::ApplyLocal);
        for candidate in core::mem::take(&mut self.early) {
            self.send_candidate(&candidate);
        }
        Ok(())
    }

    fn on_gathered(&mut self, candidate: Candidate) {
        if self.sent + self.early.len() >= MAX_CANDIDATES {
            return;
        }
        match self.state {
            State::AwaitingOffer | State::Describing => self.early.push(candidate),
            State::AwaitingAnswer | State::Exchanging => self.send_candidate(&candidate),
        }
    }

    fn send_candidate(&mut self, candidate: &Candidate) {
        self.sent += 1;
        self.outputs.push_back(Output::Write(
            Message::Candidate(candidate.to_json()).encode(),
        ));
    }

    fn on_message(&mut self, message: Message) -> Result<(), SignalingError> {
        match (self.state, message) {
            (State::AwaitingOffer, Message::Offer { sdp, max_frame }) => {
                self.remote_max_frame = max_frame;
                self.outputs.push_back(Output::ApplyRemote { sdp });
                self.outputs.push_back(Output::Describe);
                self.state = State::Describing;
                Ok(())
            }
            (State::AwaitingAnswer, Message::Answer { sdp, max_frame }) => {
                self.remote_max_frame = max_frame;
                self.outputs.push_back(Output::ApplyRemote { sdp });
                self.state = State::Exchanging;
                Ok(())
            }
            // The answerer may be describing still when the offerer's first candidates arrive; the remote description
            // is applied by then, because outputs are performed in order.
            (State::Exchanging, Message::Candidate(json)) => {
                self.on_remote_candidate(&json);
                Ok(())
            }
            (State::Describing, Message::Candidate(json)) if self.role == Role::Answerer => {
                self.on_remote_candidate(&json);
                Ok(())
            }
            (_, message) => Err(SignalingError::Unexpected {
                got: message.name(),
                state: self.expecting(),
            }),
        }
    }

    fn on_remote_candidate(&mut self, json: &str) {
        if self.received >= MAX_CANDIDATES {
            self.refused += 1;
            return;
        }
        self.received += 1;
        match Candidate::parse(json) {
            Ok(Some(candidate)) => self.outputs.push_back(Output::AddCandidate(candidate)),
            Ok(None) => {}
            Err(_) => self.refused += 1,
        }
    }

    fn expecting(&self) -> &'static str {
        match self.state {
            State::AwaitingOffer => "an offer",
            State::Describing => "the own description",
            State::AwaitingAnswer => "an answer",
            State::Exchanging => "candidates",
        }
    }
}

/// Why an attempt cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignalingError {
    /// Not protobuf.
    #[error("signaling message is malformed: {0}")]
    Protobuf(#[from] ProtobufError),
    /// The announced length is over the bound.
    #[error("signaling message of {len} bytes is longer than {MAX_MESSAGE}")]
    TooLong {
        /// The announced length in bytes.
        len: u64,
    },
    /// The type is absent or none of offer, answer, candidate.
    #[error("signaling message has unknown type {kind:?}")]
    UnknownType {
        /// The type that was read.
        kind: Option<u64>,
    },
    /// The data is not UTF-8.
    #[error("signaling data is not UTF-8")]
    NotText,
    /// A candidate that is not JSON of a candidate.
    #[error("candidate is not the JSON of an ICE candidate")]
    BadCandidate,
    /// A message that does not belong here.
    #[error("got {got} while waiting for {state}")]
    Unexpected {
        /// What came.
        got: &'static str,
        /// What was awaited.
        state: &'static str,
    },
}

/// js-libp2p and node-datachannel send an object, a string, or `null`.
#[derive(Deserialize)]
#[serde(untagged)]
enum CandidateOrText {
    Candidate(Candidate),
    Text(String),
}

impl CandidateOrText {
    fn candidate(self) -> Option<Candidate> {
        match self {
            Self::Candidate(candidate) => Some(candidate),
            Self::Text(text) => (!text.is_empty()).then_some(Candidate {
                candidate: text,
                sdp_mid: None,
                sdp_m_line_index: Some(0),
                username_fragment: None,
            }),
        }
    }
}

const OFFER: u64 = 0;
const ANSWER: u64 = 1;
const CANDIDATE: u64 = 2;

#[cfg(test)]
mod tests;
