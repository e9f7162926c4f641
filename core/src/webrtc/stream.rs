//! One libp2p stream on one data channel (libp2p specs, `webrtc/README.md`, "Multiplexing").
//!
//! Every frame is `uvarint length ‖ Message { optional Flag flag = 1; optional bytes message = 2 }`, and one frame is one
//! data channel message when sent; received bytes may be split or joined anywhere. Does no IO: the driver hands in
//! messages, sends the frames it is given and closes the channel once [`Stream::is_done`].

use alloc::{collections::VecDeque, vec::Vec};

use super::protobuf::{Fields, ProtobufError, Value, get_varint, put_uint, put_varint, varint_len};

/// Largest frame, prefix included and in bytes, that every implementation takes. Source: libp2p specs,
/// `webrtc/README.md`.
pub const DEFAULT_MAX_FRAME: usize = 16 * 1024;

/// Largest frame two Chorus peers agree on, in bytes. Below the 262144 bytes Chromium sends at most as one message.
pub const LARGE_MAX_FRAME: usize = 255 * 1024;

/// Most bytes of memory held for a reader that does not read, however they came; data channels have no back-pressure for
/// receivers, so a stream beyond this is reset. Guess: sixteen blocks of 1 MiB.
pub const MAX_BUFFERED: usize = 16 * 1024 * 1024;

/// Bytes that an allocation takes beside what it holds. Guess.
const ALLOCATION: usize = 16;

/// Most control frames waiting to be sent; a remote that provokes more is reset.
const MAX_CONTROL: usize = 16;

/// A frame's flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// The sender writes no more.
    Fin = 0,
    /// The sender reads no more.
    StopSending = 1,
    /// The sender gave up both directions.
    ResetStream = 2,
    /// The sender has seen FIN.
    FinAck = 3,
}

/// Result of [`Stream::read`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes were copied.
    Data(usize),
    /// The remote finished; there is nothing more.
    End,
    /// Nothing yet.
    Pending,
}

/// One stream's state.
#[derive(Debug)]
pub struct Stream {
    max_frame: usize,
    reading: Reading,
    writing: Writing,
    reset: Option<Reset>,
    /// The data channel is gone.
    is_lost: bool,
    chunks: VecDeque<Chunk>,
    buffered: usize,
    /// Memory that the chunks take, in bytes.
    held: usize,
    /// Bytes of a frame whose rest has not arrived.
    partial: Vec<u8>,
    control: VecDeque<Flag>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Open,
    /// The reader left; STOP_SENDING was queued, data is discarded until FIN.
    Stopped,
    /// FIN came and was acknowledged.
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Open,
    /// The remote asked to stop; only FIN may follow.
    Stopped,
    FinSent,
    FinAcked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reset {
    Local,
    Remote,
    /// The data channel is gone.
    Lost,
}

#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    /// What is left to read of `bytes`.
    start: usize,
    end: usize,
}

impl Chunk {
    /// Bytes of memory that it takes.
    fn memory(&self) -> usize {
        self.bytes.capacity() + size_of::<Self>() + ALLOCATION
    }
}

impl Stream {
    /// Makes a stream that sends frames of at most `max_frame` bytes, at least [`DEFAULT_MAX_FRAME`] and at most
    /// [`LARGE_MAX_FRAME`]; it accepts up to [`LARGE_MAX_FRAME`] whatever was agreed.
    pub fn new(max_frame: usize) -> Self {
        Self {
            max_frame: max_frame.clamp(DEFAULT_MAX_FRAME, LARGE_MAX_FRAME),
            reading: Reading::Open,
            writing: Writing::Open,
            reset: None,
            is_lost: false,
            chunks: VecDeque::new(),
            buffered: 0,
            held: 0,
            partial: Vec::new(),
            control: VecDeque::new(),
        }
    }

    /// Takes in one data channel message. A message that is one whole frame is kept without copying.
    ///
    /// # Errors
    /// When the bytes are not frames, a frame is over [`LARGE_MAX_FRAME`], or the reader is [`MAX_BUFFERED`] behind; the
    /// stream is then reset and a RESET_STREAM is waiting in [`Self::poll_control`].
    pub fn receive(&mut self, message: Vec<u8>) -> Result<(), StreamError> {
        let outcome = if self.partial.is_empty() {
            self.on_bytes(message)
        } else {
            self.on_more(&message)
        };
        if outcome.is_err() {
            match self.reset {
                None => self.reset(),
                // Nothing that such a remote says is worth waiting for.
                Some(_) => self.reset = Some(Reset::Remote),
            }
        }
        outcome
    }

    /// Copies received bytes into `into`.
    ///
    /// # Errors
    /// [`StreamError::Reset`] after a reset, [`StreamError::Closed`] when the channel closed before FIN (after
    /// everything that had arrived was read).
    pub fn read(&mut self, into: &mut [u8]) -> Result<Read, StreamError> {
        let mut copied = 0;
        while copied < into.len() {
            let Some(chunk) = self.chunks.front_mut() else {
                break;
            };
            let len = (chunk.end - chunk.start).min(into.len() - copied);
            into[copied..copied + len]
                .copy_from_slice(&chunk.bytes[chunk.start..chunk.start + len]);
            chunk.start += len;
            copied += len;
            if chunk.start == chunk.end {
                self.held -= chunk.memory();
                self.chunks.pop_front();
            }
        }
        self.buffered -= copied;
        if copied > 0 || into.is_empty() {
            return Ok(Read::Data(copied));
        }
        match (self.reading, self.reset) {
            (Reading::Ended, _) => Ok(Read::End),
            (_, Some(Reset::Lost)) => Err(StreamError::Closed),
            (_, Some(Reset::Local | Reset::Remote)) => Err(StreamError::Reset),
            (Reading::Stopped, None) => Err(StreamError::Closed),
            (Reading::Open, None) => Ok(Read::Pending),
        }
    }

    /// Replaces the contents of `frame` with one frame of the first bytes of `data`, and returns how many it took.
    ///
    /// # Errors
    /// When the stream is reset, finished, or the remote asked to stop.
    pub fn write(&mut self, data: &[u8], frame: &mut Vec<u8>) -> Result<usize, StreamError> {
        self.check_writable()?;
        let len = data.len().min(self.max_payload());
        let body = 1 + varint_len(len as u64) + len;
        frame.clear();
        frame.reserve(body + 4);
        put_varint(frame, body as u64);
        put_varint(frame, 2 << 3 | 2);
        put_varint(frame, len as u64);
        frame.extend_from_slice(&data[..len]);
        Ok(len)
    }

    /// Fails where [`Self::write`] would.
    ///
    /// # Errors
    /// When the stream is reset, finished, or the remote asked to stop.
    pub fn check_writable(&self) -> Result<(), StreamError> {
        match (self.reset, self.writing) {
            (Some(Reset::Lost), _) => Err(StreamError::Closed),
            (Some(Reset::Local | Reset::Remote), _) => Err(StreamError::Reset),
            (None, Writing::Open) => Ok(()),
            (None, Writing::Stopped) => Err(StreamError::Stopped),
            (None, Writing::FinSent | Writing::FinAcked) => Err(StreamError::Finished),
        }
    }

    /// Most payload bytes in one frame.
    pub fn max_payload(&self) -> usize {
        self.max_frame - 1 - 2 * varint_len(self.max_frame as u64)
    }

    /// Ends the write half; the read half stays as it is. Does nothing the second time.
    pub fn finish(&mut self) {
        if self.reset.is_none() && matches!(self.writing, Writing::Open | Writing::Stopped) {
            self.writing = Writing::FinSent;
            self.queue(Flag::Fin);
        }
    }

    /// Ends both halves at once and forgets what was not read or sent. Does nothing on a stream that is over. The data
    /// channel stays until the remote has closed it: libdatachannel, under js-libp2p on Node, drops a RESET_STREAM that the
    /// end of its channel follows at once, and its reader would take the cut for a clean end.
    pub fn reset(&mut self) {
        if self.reset.is_some() || self.is_done() {
            return;
        }
        self.reset = Some(Reset::Local);
        self.forget();
        self.control.clear();
        self.control.push_back(Flag::ResetStream);
    }

    /// Notes that the owner has dropped the stream: what is open is ended in the mildest way that tells the remote.
    /// An unfinished write half is reset while the remote still writes (like dropping a yamux stream), else finished.
    pub fn abandon(&mut self) {
        match (self.writing, self.reading) {
            (Writing::Open, Reading::Open | Reading::Stopped) => self.reset(),
            (Writing::Open, Reading::Ended) => self.finish(),
            (Writing::Stopped | Writing::FinSent | Writing::FinAcked, _) => {
                self.finish();
                if self.reset.is_none() && self.reading == Reading::Open {
                    self.reading = Reading::Stopped;
                    self.queue(Flag::StopSending);
                }
            }
        }
        self.forget();
    }

    /// Notes that the data channel is closed or its connection dead. What had arrived can still be read.
    pub fn lost(&mut self) {
        self.is_lost = true;
        if self.reset.is_none() {
            self.reset = Some(Reset::Lost);
        }
        self.control.clear();
        self.partial = Vec::new();
    }

    /// Returns the next control frame to send. To be sent after every frame written before it.
    pub fn poll_control(&mut self) -> Option<Vec<u8>> {
        let flag = self.control.pop_front()?;
        let mut frame = Vec::with_capacity(3);
        put_varint(&mut frame, 2);
        put_uint(&mut frame, 1, flag as u64);
        Some(frame)
    }

    /// Whether the data channel may be closed: gone, reset by the remote, or finished and acknowledged in both directions,
    /// with no control frame left to send.
    pub fn is_done(&self) -> bool {
        let is_over = self.reset == Some(Reset::Remote) && self.control.is_empty();
        self.is_lost || is_over || self.is_finished()
    }

    /// Whether both directions are finished and acknowledged, and the data channel is still there.
    pub fn is_finished(&self) -> bool {
        let finished = self.writing == Writing::FinAcked && self.reading == Reading::Ended;
        finished && self.reset.is_none() && self.control.is_empty()
    }

    /// Bytes received and not yet read.
    pub fn buffered(&self) -> usize {
        self.buffered
    }

    fn on_more(&mut self, message: &[u8]) -> Result<(), StreamError> {
        self.partial.extend_from_slice(message);
        let bytes = core::mem::take(&mut self.partial);
        self.on_bytes(bytes)
    }

    fn on_bytes(&mut self, mut bytes: Vec<u8>) -> Result<(), StreamError> {
        let mut at = 0;
        while self.is_listening() {
            let rest = &bytes[at..];
            let Some((len, prefix)) = get_varint(rest)? else {
                break;
            };
            if len > (LARGE_MAX_FRAME - prefix.min(LARGE_MAX_FRAME)) as u64 {
                return Err(StreamError::FrameTooLong { len });
            }
            let end = prefix + len as usize;
            if rest.len() < end {
                break;
            }
            let (flag, payload) = parse(&rest[prefix..end])?;
            let (start, stop) = (at + prefix + payload.start, at + prefix + payload.end);
            at += end;
            let last = at == bytes.len();
            if stop > start && self.reading == Reading::Open && self.reset.is_none() {
                // A frame may hold much else, which is not to be kept.
                let chunk = if last && stop - start >= bytes.len() / 2 {
                    Chunk {
                        bytes: core::mem::take(&mut bytes),
                        start,
                        end: stop,
                    }
                } else {
                    Chunk {
                        bytes: bytes[start..stop].to_vec(),
                        start: 0,
                        end: stop - start,
                    }
                };
                self.on_chunk(chunk)?;
            }
            if let Some(flag) = flag {
                self.on_flag(flag)?;
            }
            if last {
                return Ok(());
            }
        }
        if self.is_listening() {
            bytes.drain(..at);
            self.partial = bytes;
        }
        Ok(())
    }

    fn on_chunk(&mut self, chunk: Chunk) -> Result<(), StreamError> {
        self.buffered += chunk.end - chunk.start;
        self.held += chunk.memory();
        self.chunks.push_back(chunk);
        if self.held > MAX_BUFFERED {
            return Err(StreamError::Overloaded { held: self.held });
        }
        Ok(())
    }

    /// Whether what the remote sends still matters: after a reset by this side, only its own RESET_STREAM does.
    fn is_listening(&self) -> bool {
        matches!(self.reset, None | Some(Reset::Local))
    }

    fn on_flag(&mut self, flag: Flag) -> Result<(), StreamError> {
        match flag {
            _ if self.reset.is_some() && flag != Flag::ResetStream => {}
            Flag::Fin => {
                if self.control.len() >= MAX_CONTROL {
                    return Err(StreamError::ControlFlood);
                }
                self.reading = Reading::Ended;
                self.queue(Flag::FinAck);
            }
            Flag::StopSending => {
                if self.writing == Writing::Open {
                    self.writing = Writing::Stopped;
                }
            }
            Flag::ResetStream => {
                self.reset = Some(Reset::Remote);
                self.forget();
                self.control.clear();
            }
            Flag::FinAck => {
                if self.writing == Writing::FinSent {
                    self.writing = Writing::FinAcked;
                }
            }
        }
        Ok(())
    }

    fn queue(&mut self, flag: Flag) {
        self.control.push_back(flag);
    }

    fn forget(&mut self) {
        self.chunks = VecDeque::new();
        self.buffered = 0;
        self.held = 0;
    }
}

/// Returns a frame's flag and where its payload lies in `body`. An unknown flag counts as none.
fn parse(body: &[u8]) -> Result<(Option<Flag>, core::ops::Range<usize>), StreamError> {
    let (mut flag, mut payload) = (None, 0..0);
    for field in Fields::of(body) {
        match field? {
            (1, Value::Varint(value)) => {
                flag = match value {
                    0 => Some(Flag::Fin),
                    1 => Some(Flag::StopSending),
                    2 => Some(Flag::ResetStream),
                    3 => Some(Flag::FinAck),
                    _ => None,
                }
            }
            (2, Value::Bytes(bytes)) => {
                let start = bytes.as_ptr() as usize - body.as_ptr() as usize;
                payload = start..start + bytes.len();
            }
            (number @ (1 | 2), _) => return Err(ProtobufError::Mismatch { number }.into()),
            _ => {}
        }
    }
    Ok((flag, payload))
}

/// Why a stream cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// Not protobuf.
    #[error("stream frame is malformed: {0}")]
    Protobuf(#[from] ProtobufError),
    /// The announced length is over the bound.
    #[error("stream frame of {len} bytes is longer than {LARGE_MAX_FRAME}")]
    FrameTooLong {
        /// The announced length in bytes.
        len: u64,
    },
    /// The remote sends faster than the reader reads.
    #[error("what is unread takes {held} bytes, more than {MAX_BUFFERED}")]
    Overloaded {
        /// Bytes of memory.
        held: usize,
    },
    /// The remote repeats FIN without end.
    #[error("more than {MAX_CONTROL} control frames waiting")]
    ControlFlood,
    /// One of the sides reset the stream.
    #[error("stream was reset")]
    Reset,
    /// The data channel closed before the stream was finished.
    #[error("data channel closed")]
    Closed,
    /// The remote asked to stop sending.
    #[error("remote reads no more")]
    Stopped,
    /// The write half was finished before.
    #[error("write half is finished")]
    Finished,
}

#[cfg(test)]
mod tests;
