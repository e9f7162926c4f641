//! Raw libp2p streams for JavaScript: protocols of the owner's own, on direct connections.

use std::{cell::RefCell, pin::pin, rc::Rc, time::Duration};

use futures::{
    AsyncReadExt, AsyncWriteExt, StreamExt,
    future::{AbortHandle, Abortable, Either},
    io::{ReadHalf, WriteHalf},
    lock::Mutex,
};
use futures_timer::Delay;
use js_sys::{Function, Uint8Array};
use libp2p::{PeerId, Stream, StreamProtocol};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;

use super::{ChorusPeer, error};

/// One stream. Reading and writing may go on at the same time; each waits for its turn.
#[wasm_bindgen]
pub struct RawStream {
    read: Rc<Mutex<Option<ReadSide>>>,
    write: Rc<Mutex<Option<WriteHalf<Stream>>>>,
    /// Set once the stream is reset; every pending call ends then.
    pending: Rc<RefCell<Option<Vec<AbortHandle>>>>,
}

struct ReadSide {
    stream: ReadHalf<Stream>,
    /// Where bytes are read into, once something is.
    buffer: Vec<u8>,
}

impl std::fmt::Debug for RawStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawStream").finish_non_exhaustive()
    }
}

impl RawStream {
    fn new(stream: Stream) -> Self {
        let (read, write) = stream.split();
        Self {
            read: Rc::new(Mutex::new(Some(ReadSide {
                stream: read,
                buffer: Vec::new(),
            }))),
            write: Rc::new(Mutex::new(Some(write))),
            pending: Rc::new(RefCell::new(Some(Vec::new()))),
        }
    }

    async fn unless_reset<T>(
        &self,
        work: impl Future<Output = Result<T, JsValue>>,
    ) -> Result<T, JsValue> {
        let (handle, registration) = AbortHandle::new_pair();
        match &mut *self.pending.borrow_mut() {
            Some(pending) => {
                pending.retain(|handle: &AbortHandle| !handle.is_aborted());
                pending.push(handle.clone());
            }
            None => return Err(was_reset()),
        }
        let result = Abortable::new(work, registration).await;
        // Marks the handle as done; nothing waits for it any more.
        handle.abort();
        result.unwrap_or_else(|_| Err(was_reset()))
    }
}

#[wasm_bindgen]
impl RawStream {
    /// Reads what has arrived; resolves to `null` at the end.
    pub async fn read(&self) -> Result<JsValue, JsValue> {
        let read = self.read.clone();
        self.unless_reset(async move {
            let mut guard = read.lock().await;
            let stream = guard.as_mut().ok_or_else(was_reset)?;
            let ReadSide { stream, buffer } = stream;
            if buffer.is_empty() {
                buffer.resize(READ_BUFFER, 0);
            }
            let count = stream.read(buffer).await.map_err(|e| stream_error(&e))?;
            Ok(if count == 0 {
                JsValue::NULL
            } else {
                Uint8Array::from(&buffer[..count]).into()
            })
        })
        .await
    }

    /// Writes all bytes.
    pub async fn write(&self, bytes: Uint8Array) -> Result<(), JsValue> {
        let write = self.write.clone();
        self.unless_reset(async move {
            let mut guard = write.lock().await;
            let stream = guard.as_mut().ok_or_else(was_reset)?;
            stream
                .write_all(&bytes.to_vec())
                .await
                .map_err(|e| stream_error(&e))?;
            stream.flush().await.map_err(|e| stream_error(&e))
        })
        .await
    }

    /// Ends this side; the other can still be read.
    #[wasm_bindgen(js_name = closeWrite)]
    pub async fn close_write(&self) -> Result<(), JsValue> {
        let write = self.write.clone();
        self.unless_reset(async move {
            let mut guard = write.lock().await;
            let stream = guard.as_mut().ok_or_else(was_reset)?;
            stream.close().await.map_err(|e| stream_error(&e))
        })
        .await
    }

    /// Ends both sides at once; what was not delivered is lost.
    pub async fn reset(&self) {
        if let Some(pending) = self.pending.borrow_mut().take() {
            pending.iter().for_each(AbortHandle::abort);
        }
        drop(self.read.lock().await.take());
        drop(self.write.lock().await.take());
    }
}

#[wasm_bindgen]
impl ChorusPeer {
    /// Opens a stream to a peer.
    #[wasm_bindgen(js_name = openStream)]
    pub async fn open_stream(&self, peer: String, protocol: String) -> Result<RawStream, JsValue> {
        let peer = parse_peer(&peer)?;
        let protocol = parse_protocol(protocol)?;
        let mut control = self.peer.handle.streams();
        let open = async {
            let mut stream = control
                .open_stream(peer, protocol)
                .await
                .map_err(|e| error("ERR_STREAM", &e.to_string()))?;
            // Reading nothing waits for the remote to agree to the protocol.
            stream
                .read(&mut [])
                .await
                .map_err(|e| error("ERR_STREAM", &e.to_string()))?;
            Ok(RawStream::new(stream))
        };
        // A browser ignores a data channel whose number it has not given up yet: the remote may never hear of this one.
        match futures::future::select(pin!(open), Delay::new(OPEN_PATIENCE)).await {
            Either::Left((opened, _)) => opened,
            Either::Right(_) => Err(error(
                "ERR_STREAM",
                &format!("the peer has not agreed to the protocol within {OPEN_PATIENCE:?}"),
            )),
        }
    }

    /// Calls `on_stream(stream, peer)` for every stream of a protocol; returns a function that ends it.
    #[wasm_bindgen(js_name = handleProtocol)]
    pub fn handle_protocol(
        &self,
        protocol: String,
        on_stream: Function,
    ) -> Result<Function, JsValue> {
        let name = parse_protocol(protocol.clone())?;
        let mut incoming = self.peer.handle.streams().accept(name).map_err(|_| {
            error(
                "ERR_INVALID_ARGUMENT",
                &format!("protocol {protocol} is handled already"),
            )
        })?;
        let (handle, registration) = AbortHandle::new_pair();
        let accept = async move {
            while let Some((peer, stream)) = incoming.next().await {
                let (stream, peer) = (RawStream::new(stream).into(), peer.to_string().into());
                // What a handler throws is its own affair.
                let _ = on_stream.call2(&JsValue::NULL, &stream, &peer);
            }
        };
        spawn_local(async move {
            let _ = Abortable::new(accept, registration).await;
        });
        // Ending it twice is no error.
        let end = Closure::<dyn FnMut()>::new(move || handle.abort());
        Ok(end.into_js_value().unchecked_into())
    }

    /// Measures the round trip to a directly connected peer, in milliseconds.
    pub async fn ping(&self, peer: String) -> Result<f64, JsValue> {
        let peer = parse_peer(&peer)?;
        let failed = |e: &dyn std::fmt::Display| error("ERR_STREAM", &e.to_string());
        let protocol = libp2p::ping::PROTOCOL_NAME;
        let mut stream = self
            .peer
            .handle
            .streams()
            .open_stream(peer, protocol)
            .await
            .map_err(|e| failed(&e))?;
        let mut sent = [0; 32];
        getrandom::fill(&mut sent).map_err(|e| failed(&e))?;
        let start = now();
        stream.write_all(&sent).await.map_err(|e| failed(&e))?;
        stream.flush().await.map_err(|e| failed(&e))?;
        let mut got = [0; 32];
        stream.read_exact(&mut got).await.map_err(|e| failed(&e))?;
        let elapsed = now() - start;
        // The answer is here; how the stream ends does not matter. But js-libp2p serves two ping streams at once only, so
        // this one is over before the next begins.
        let over = async {
            let _ = stream.close().await;
            let _ = stream.read(&mut got[..1].to_vec()).await;
        };
        futures::future::select(pin!(over), Delay::new(PING_END)).await;
        if got == sent {
            Ok(elapsed)
        } else {
            Err(error("ERR_STREAM", "the ping came back changed"))
        }
    }
}

/// Milliseconds on the page's steady clock.
fn now() -> f64 {
    web_sys::window()
        .and_then(|window| window.performance())
        .map_or_else(js_sys::Date::now, |clock| clock.now())
}

fn parse_peer(peer: &str) -> Result<PeerId, JsValue> {
    peer.parse()
        .map_err(|e| error("ERR_INVALID_ARGUMENT", &format!("peer id {peer:?}: {e}")))
}

fn parse_protocol(protocol: String) -> Result<StreamProtocol, JsValue> {
    StreamProtocol::try_from_owned(protocol).map_err(|_| {
        error(
            "ERR_INVALID_ARGUMENT",
            "a protocol id must start with a slash",
        )
    })
}

fn stream_error(failed: &std::io::Error) -> JsValue {
    error("ERR_STREAM", &failed.to_string())
}

fn was_reset() -> JsValue {
    error("ERR_STREAM_RESET", "the stream was reset")
}

/// Longest wait for a peer to agree to a protocol. Source: js-libp2p's and rust-libp2p's 10 s.
const OPEN_PATIENCE: Duration = Duration::from_secs(10);
/// Longest wait for the end of a ping's stream.
const PING_END: Duration = Duration::from_secs(1);
/// Most bytes of one read.
const READ_BUFFER: usize = 256 * 1024;
