//! A WebSocket client transport on the browser's own `WebSocket`.
//!
//! Unlike `libp2p-websocket-websys`, a flush does not wait for a 100 ms timer, and a lost connection wakes its readers at
//! once. It cannot listen: no browser can. The WebSocket API has no read back-pressure, so what arrives unread is bounded
//! and a connection that exceeds the bound is closed.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite, FutureExt, future::BoxFuture};
use futures_timer::Delay;
use libp2p::{
    Multiaddr,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    multiaddr::Protocol,
};
use send_wrapper::SendWrapper;
use wasm_bindgen::{JsCast, prelude::*};
use web_sys::{BinaryType, CloseEvent, MessageEvent, Url, WebSocket};

/// Dials `/ip4|ip6|dns|dns4|dns6/…/tcp/…/ws`, `…/wss` and `…/tls/ws`.
#[derive(Debug)]
pub struct Transport {
    /// A socket that the page opened ahead, for the first dial.
    ahead: Option<Connection>,
}

/// Why a WebSocket could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The browser refused the URL, or the connection came to nothing. Browsers do not tell more.
    #[error("cannot open {url}: {reason}")]
    Open {
        /// Where to.
        url: String,
        /// What the browser said.
        reason: String,
    },
}

impl Transport {
    /// Creates the transport. The first dial takes `ahead` where that leads to the same place; else it is closed.
    pub fn new(ahead: Option<WebSocket>) -> Self {
        Self {
            ahead: ahead.map(Connection::of),
        }
    }
}

impl libp2p::Transport for Transport {
    type Output = Connection;
    type Error = Error;
    type ListenerUpgrade = futures::future::Pending<Result<Connection, Error>>;
    type Dial = BoxFuture<'static, Result<Connection, Error>>;

    fn listen_on(
        &mut self,
        _: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<Error>> {
        let Some(url) = url_of(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        if options.role.is_listener() {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        let ahead = self.ahead.take().filter(|ahead| ahead.leads_to(&url));
        Ok(SendWrapper::new(Connection::open(url, ahead)).boxed())
    }

    fn poll(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Poll::Pending
    }
}

impl Transport {
    /// Whether the transport can dial the address.
    pub fn supports(address: &Multiaddr) -> bool {
        url_of(address).is_some()
    }
}

/// Returns the URL of a WebSocket multiaddr, `None` where it is of another kind.
fn url_of(address: &Multiaddr) -> Option<String> {
    let mut parts = address.iter();
    let host = match parts.next()? {
        Protocol::Ip4(ip) => ip.to_string(),
        Protocol::Ip6(ip) => format!("[{ip}]"),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => name.to_string(),
        _ => return None,
    };
    let Protocol::Tcp(port) = parts.next()? else {
        return None;
    };
    let (scheme, path) = match parts.next()? {
        Protocol::Ws(path) => ("ws", path),
        Protocol::Wss(path) => ("wss", path),
        Protocol::Tls => match parts.next()? {
            Protocol::Ws(path) => ("wss", path),
            _ => return None,
        },
        _ => return None,
    };
    match (parts.next(), parts.next()) {
        (None | Some(Protocol::P2p(_)), None) => Some(format!("{scheme}://{host}:{port}{path}")),
        _ => None,
    }
}

/// An open WebSocket as a byte stream. Dropping it detaches every handler and closes the socket.
pub struct Connection {
    inner: SendWrapper<Inner>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

struct Inner {
    socket: WebSocket,
    shared: Rc<RefCell<Shared>>,
    unsent: Vec<u8>,
    pause: Option<Delay>,
    _on_open: Closure<dyn FnMut()>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_close: Closure<dyn FnMut(CloseEvent)>,
    _on_error: Closure<dyn FnMut()>,
}

#[derive(Default)]
struct Shared {
    is_open: bool,
    /// Set once; what was received before is still read.
    ended: Option<End>,
    received: VecDeque<Vec<u8>>,
    /// Bytes of the first received message that were read already.
    read: usize,
    unread_bytes: usize,
    wakers: Vec<Waker>,
}

#[derive(Clone)]
enum End {
    Closed,
    Failed(String),
}

impl Shared {
    fn wake(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }

    fn wait<T>(&mut self, cx: &Context<'_>) -> Poll<T> {
        if !self.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn end(&mut self, end: End) {
        self.ended.get_or_insert(end);
        self.wake();
    }
}

impl Connection {
    fn of(socket: WebSocket) -> Self {
        socket.set_binary_type(BinaryType::Arraybuffer);
        Self {
            inner: SendWrapper::new(Inner::new(socket)),
        }
    }

    /// Whether it is open, or will be, at `url`.
    fn leads_to(&self, url: &str) -> bool {
        let socket = &self.inner.socket;
        let lives = [WebSocket::CONNECTING, WebSocket::OPEN].contains(&socket.ready_state());
        // The browser writes addresses its own way: without the usual port, for one.
        lives && Url::new(url).is_ok_and(|url| url.href() == socket.url())
    }

    /// Waits until `ahead`, or else a new one, is open.
    async fn open(url: String, ahead: Option<Self>) -> Result<Self, Error> {
        let failed = |reason: String| Error::Open {
            url: url.clone(),
            reason,
        };
        let connection = match ahead {
            Some(ahead) => ahead,
            None => Self::of(WebSocket::new(&url).map_err(|e| failed(describe(&e)))?),
        };
        let shared = connection.inner.shared.clone();
        futures::future::poll_fn(|cx| {
            let mut shared = shared.borrow_mut();
            match (shared.is_open, shared.ended.clone()) {
                (_, Some(End::Failed(reason))) => Poll::Ready(Err(failed(reason))),
                (_, Some(End::Closed)) => Poll::Ready(Err(failed("closed".into()))),
                (true, None) => Poll::Ready(Ok(())),
                (false, None) => shared.wait(cx),
            }
        })
        .await?;
        Ok(connection)
    }
}

impl Inner {
    fn new(socket: WebSocket) -> Self {
        let shared = Rc::new(RefCell::new(Shared {
            is_open: socket.ready_state() == WebSocket::OPEN,
            ..Shared::default()
        }));
        let on_open = Closure::<dyn FnMut()>::new({
            let shared = shared.clone();
            move || {
                let mut shared = shared.borrow_mut();
                shared.is_open = true;
                shared.wake();
            }
        });
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new({
            let (shared, socket) = (shared.clone(), socket.clone());
            move |event: MessageEvent| on_message(&socket, &mut shared.borrow_mut(), &event)
        });
        let on_close = Closure::<dyn FnMut(CloseEvent)>::new({
            let shared = shared.clone();
            move |event: CloseEvent| {
                let end = match event.was_clean() {
                    true => End::Closed,
                    false => End::Failed(format!("connection lost (code {})", event.code())),
                };
                shared.borrow_mut().end(end);
            }
        });
        let on_error = Closure::<dyn FnMut()>::new({
            let shared = shared.clone();
            move || {
                shared
                    .borrow_mut()
                    .end(End::Failed("connection failed".into()))
            }
        });
        socket.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        socket.set_onclose(Some(on_close.as_ref().unchecked_ref()));
        socket.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        Self {
            socket,
            shared,
            unsent: Vec::new(),
            pause: None,
            _on_open: on_open,
            _on_message: on_message,
            _on_close: on_close,
            _on_error: on_error,
        }
    }

    fn check_open(&self) -> io::Result<()> {
        match &self.shared.borrow().ended {
            None => Ok(()),
            Some(End::Closed) => Err(io::ErrorKind::BrokenPipe.into()),
            Some(End::Failed(reason)) => Err(io::Error::new(
                io::ErrorKind::ConnectionReset,
                reason.clone(),
            )),
        }
    }

    /// Waits while the browser has too much queued. It reports that by no event, so a timer looks again.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.check_open()?;
            if self.socket.buffered_amount() < HIGH_WATER {
                self.pause = None;
                return Poll::Ready(Ok(()));
            }
            let pause = self.pause.get_or_insert_with(|| Delay::new(PAUSE));
            futures::ready!(pause.poll_unpin(cx));
            self.pause = None;
        }
    }

    /// Hands what was written to the browser as one message.
    fn send(&mut self) -> io::Result<()> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        self.check_open()?;
        let sent = self.socket.send_with_u8_array(&self.unsent);
        self.unsent.clear();
        sent.map_err(|e| io::Error::new(io::ErrorKind::BrokenPipe, describe(&e)))
    }
}

fn on_message(socket: &WebSocket, shared: &mut Shared, event: &MessageEvent) {
    let Ok(buffer) = event.data().dyn_into::<js_sys::ArrayBuffer>() else {
        shared.end(End::Failed("a text message arrived".into()));
        return;
    };
    if shared.ended.is_some() {
        return;
    }
    let bytes = js_sys::Uint8Array::new(&buffer).to_vec();
    shared.unread_bytes += bytes.len();
    if shared.unread_bytes > MAX_UNREAD {
        // Closing a socket that is closing already is no error.
        let _ = socket.close();
        shared.end(End::Failed(format!("over {MAX_UNREAD} bytes unread")));
        return;
    }
    if !bytes.is_empty() {
        shared.received.push_back(bytes);
    }
    shared.wake();
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        self.socket.set_onerror(None);
        // Closing a socket that is closed already is no error.
        let _ = self.socket.close();
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut shared = self.inner.shared.borrow_mut();
        let from = shared.read;
        let Some(first) = shared.received.front() else {
            return match &shared.ended {
                Some(End::Closed) => Poll::Ready(Ok(0)),
                Some(End::Failed(reason)) => Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::ConnectionReset,
                    reason.clone(),
                ))),
                None => shared.wait(cx),
            };
        };
        let count = buffer.len().min(first.len() - from);
        buffer[..count].copy_from_slice(&first[from..from + count]);
        let is_done = from + count == first.len();
        shared.read = if is_done { 0 } else { from + count };
        shared.unread_bytes -= count;
        if is_done {
            shared.received.pop_front();
        }
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let inner = &mut *self.inner;
        if inner.unsent.len() >= MAX_MESSAGE {
            futures::ready!(inner.poll_room(cx))?;
            inner.send()?;
        }
        inner.check_open()?;
        let count = bytes.len().min(MAX_MESSAGE);
        inner.unsent.extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let inner = &mut *self.inner;
        if inner.unsent.is_empty() {
            return Poll::Ready(Ok(()));
        }
        futures::ready!(inner.poll_room(cx))?;
        Poll::Ready(inner.send())
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        futures::ready!(self.as_mut().poll_flush(cx)).ok();
        // Closing a socket that is closed already is no error.
        let _ = self.inner.socket.close();
        Poll::Ready(Ok(()))
    }
}

fn describe(error: &JsValue) -> String {
    match error.dyn_ref::<js_sys::Error>() {
        Some(error) => String::from(error.message()),
        None => "unknown error".into(),
    }
}

/// Bytes received and not yet read at which a connection is closed. Source: yamux windows of a few dozen streams.
const MAX_UNREAD: usize = 16 << 20;
/// Bytes gathered into one message before it is sent unasked.
const MAX_MESSAGE: usize = 64 << 10;
/// Bytes queued in the browser above which writers wait. Guess: a tenth of a second on a good line.
const HIGH_WATER: u32 = 1 << 20;
/// How long they wait before looking again.
const PAUSE: Duration = Duration::from_millis(5);
