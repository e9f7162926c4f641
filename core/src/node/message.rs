//! What two nodes say to each other over the block protocol, and what the packets topic carries.
//!
//! Hand-written and bounded rather than derived: every length is checked against a constant before anything is
//! allocated. Layout: one kind byte, then fixed or length-prefixed fields ([`crate::wire`]).

use alloc::{string::String, vec::Vec};

use crate::{
    bounds::{MAX_BLOCK, MAX_INLINE},
    digest::ContentId,
    key::PeerId,
    wire::{Reader, WireError, Writer},
};

/// Largest encoded packet, in bytes: the inline part and what describes it. Guess: 16 KiB is ample for metadata.
pub const MAX_PACKET: usize = MAX_INLINE + 16 * 1024;
/// Largest request, in bytes: an offer carries one packet.
pub const MAX_REQUEST: usize = MAX_PACKET + 64;
/// Largest response, in bytes: a block, or as many packets as fit in its place.
pub const MAX_RESPONSE: usize = MAX_BLOCK + 64;
/// Most packets in one answer to a query.
pub const MAX_QUERY: usize = 256;
/// Most times a request for a block may be passed on by nodes that look for it on the asker's behalf.
pub const MAX_HOPS: u8 = 2;
/// Longest packet type in a query, in bytes.
const MAX_TYPE: usize = 64;
/// Longest reason in a refusal, in bytes.
const MAX_REASON: usize = 200;

/// Why a message could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// A field is cut off or too long, or bytes are left over.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A field holds what this version does not know.
    #[error("unknown or invalid {what}")]
    Unknown {
        /// Which field.
        what: &'static str,
    },
}

/// A request over `/chorus/<network>/block/1.0.0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Asks for one block. A node that lacks it may look for it while `hops` > 0, first at `hint`.
    Get {
        /// The block.
        cid: ContentId,
        /// How often the request may still be passed on, at most [`MAX_HOPS`].
        hops: u8,
        /// Who probably holds it: the author of the packet that names it.
        hint: Option<PeerId>,
    },
    /// Asks which packets the node knows, newest first.
    Query {
        /// Only packets of this type.
        packet_type: Option<String>,
        /// At most so many, and never more than [`MAX_QUERY`].
        limit: u16,
        /// Only packets by this author.
        author: Option<PeerId>,
    },
    /// Hands over a packet and asks the node to keep it and what it links to; answered when that is done.
    Offer {
        /// The packet's binary form.
        packet: Vec<u8>,
    },
}

/// The answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// The block asked for, not yet verified.
    Block(Vec<u8>),
    /// The node does not have the block and did not find it.
    NotFound,
    /// Packets in their binary form, not yet verified.
    Packets(Vec<Vec<u8>>),
    /// The packet offered, and all that it links to, is kept.
    Stored,
    /// The node will not do it; says why.
    Refused(String),
}

impl Response {
    /// Returns how many bytes of blocks and packets it carries.
    pub fn size(&self) -> usize {
        match self {
            Self::Block(bytes) => bytes.len(),
            Self::Packets(packets) => packets.iter().map(Vec::len).sum(),
            Self::NotFound | Self::Stored | Self::Refused(_) => 0,
        }
    }
}

/// What the packets topic carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A whole packet, in its binary form.
    Packet(Vec<u8>),
    /// A packet too large to flood: whoever wants it asks `author`, or a neighbour, for the block.
    Announcement {
        /// The packet's content id.
        cid: ContentId,
        /// Who signed it.
        author: PeerId,
    },
}

impl Request {
    /// Returns the encoded request.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Get { cid, hops, hint } => {
                w.u8(1);
                w.put(&cid.to_bytes());
                w.u8(*hops);
                match hint {
                    Some(peer) => {
                        w.u8(1);
                        w.put(&peer.to_bytes());
                    }
                    None => {
                        w.u8(0);
                    }
                }
            }
            Self::Query {
                packet_type,
                limit,
                author,
            } => {
                w.u8(2);
                w.bytes(packet_type.as_deref().unwrap_or("").as_bytes());
                w.uvarint(u64::from(*limit));
                if let Some(author) = author {
                    w.put(&author.to_bytes());
                }
            }
            Self::Offer { packet } => {
                w.u8(3);
                w.bytes(packet);
            }
        }
        w.into_bytes()
    }

    /// Reads a request.
    ///
    /// # Errors
    /// [`MessageError`] where a field is cut off, too long or unknown, or bytes are left over.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let mut r = Reader::new(bytes);
        let request = match r.u8()? {
            1 => {
                let cid = content_id(&mut r)?;
                let hops = r.u8()?.min(MAX_HOPS);
                let hint = match r.u8()? {
                    0 => None,
                    1 => Some(peer_id(&mut r)?),
                    _ => return Err(MessageError::Unknown { what: "hint flag" }),
                };
                Self::Get { cid, hops, hint }
            }
            2 => {
                let name = text(&mut r, "packet type", MAX_TYPE)?;
                let limit = r.uvarint()?.min(MAX_QUERY as u64) as u16;
                let author = if r.remaining() > 0 {
                    Some(peer_id(&mut r)?)
                } else {
                    None
                };
                Self::Query {
                    packet_type: (!name.is_empty()).then_some(name),
                    limit,
                    author,
                }
            }
            3 => Self::Offer {
                packet: r.bytes("packet", MAX_PACKET)?.to_vec(),
            },
            _ => {
                return Err(MessageError::Unknown {
                    what: "request kind",
                });
            }
        };
        r.finish()?;
        Ok(request)
    }
}

impl Response {
    /// Returns the encoded response.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Block(bytes) => {
                w.u8(1);
                w.bytes(bytes);
            }
            Self::NotFound => {
                w.u8(2);
            }
            Self::Packets(packets) => {
                w.u8(3);
                w.uvarint(packets.len() as u64);
                for packet in packets {
                    w.bytes(packet);
                }
            }
            Self::Stored => {
                w.u8(4);
            }
            Self::Refused(reason) => {
                w.u8(5);
                let end = reason.floor_char_boundary(MAX_REASON.min(reason.len()));
                w.bytes(&reason.as_bytes()[..end]);
            }
        }
        w.into_bytes()
    }

    /// Reads a response.
    ///
    /// # Errors
    /// [`MessageError`] where a field is cut off, too long or unknown, or bytes are left over.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let mut r = Reader::new(bytes);
        let response = match r.u8()? {
            1 => Self::Block(r.bytes("block", MAX_BLOCK)?.to_vec()),
            2 => Self::NotFound,
            3 => {
                let count = r.uvarint()?;
                if count > MAX_QUERY as u64 {
                    return Err(MessageError::Unknown {
                        what: "packet count",
                    });
                }
                let mut packets = Vec::new();
                for _ in 0..count {
                    packets.push(r.bytes("packet", MAX_PACKET)?.to_vec());
                }
                Self::Packets(packets)
            }
            4 => Self::Stored,
            5 => Self::Refused(text(&mut r, "reason", MAX_REASON)?),
            _ => {
                return Err(MessageError::Unknown {
                    what: "response kind",
                });
            }
        };
        r.finish()?;
        Ok(response)
    }
}

impl News {
    /// Returns the encoded message.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Packet(packet) => {
                w.u8(1);
                w.bytes(packet);
            }
            Self::Announcement { cid, author } => {
                w.u8(2);
                w.put(&cid.to_bytes());
                w.put(&author.to_bytes());
            }
        }
        w.into_bytes()
    }

    /// Reads a message of the packets topic.
    ///
    /// # Errors
    /// [`MessageError`] where a field is cut off, too long or unknown, or bytes are left over.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let mut r = Reader::new(bytes);
        let news = match r.u8()? {
            1 => Self::Packet(r.bytes("packet", MAX_PACKET)?.to_vec()),
            2 => Self::Announcement {
                cid: content_id(&mut r)?,
                author: peer_id(&mut r)?,
            },
            _ => return Err(MessageError::Unknown { what: "news kind" }),
        };
        r.finish()?;
        Ok(news)
    }
}

fn content_id(r: &mut Reader<'_>) -> Result<ContentId, MessageError> {
    ContentId::from_bytes(r.take(36)?).map_err(|_| MessageError::Unknown { what: "content id" })
}

fn peer_id(r: &mut Reader<'_>) -> Result<PeerId, MessageError> {
    PeerId::from_bytes(r.take(38)?).map_err(|_| MessageError::Unknown { what: "peer id" })
}

fn text(r: &mut Reader<'_>, what: &'static str, max: usize) -> Result<String, MessageError> {
    let bytes = r.bytes(what, max)?;
    core::str::from_utf8(bytes)
        .map(String::from)
        .map_err(|_| MessageError::Unknown { what })
}
