//! A TCP listener that bounds how many connections are open, in all and of one address, and closes those that do not go
//! on: where no request comes, where one is not finished, or where nobody takes the answer.
//!
//! It is made for servers that read no request body: what comes counts as a request until something is written.

use std::{
    collections::{HashMap, hash_map::Entry},
    future::Future,
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::serve::Listener;
use prometheus_client::metrics::counter::Counter;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep},
};

/// The listener. Beyond the bound of all, connections wait in the operating system's queue; beyond the share of their
/// address they are closed at once and counted.
#[derive(Debug)]
pub(crate) struct BoundedListener {
    inner: TcpListener,
    bounds: Bounds,
    permits: Arc<Semaphore>,
    shares: Shares,
    refused: Counter,
}

/// A connection that counts against the bounds until it is dropped.
#[derive(Debug)]
pub(crate) struct BoundedStream {
    inner: TcpStream,
    _permit: Option<OwnedSemaphorePermit>,
    _share: Share,
    patience: Patience,
    timer: Pin<Box<Sleep>>,
}

impl BoundedListener {
    /// Adds the connections that it refuses to `refused`.
    pub(crate) fn new(inner: TcpListener, refused: Counter) -> Self {
        Self::with(inner, BOUNDS, refused)
    }

    fn with(inner: TcpListener, bounds: Bounds, refused: Counter) -> Self {
        Self {
            inner,
            bounds,
            permits: Arc::new(Semaphore::new(bounds.connections)),
            shares: Shares::default(),
            refused,
        }
    }

    /// Counts a connection of `ip`, for which a permit is taken already.
    fn share(&self, ip: IpAddr) -> Option<Share> {
        let Bounds {
            connections, share, ..
        } = self.bounds;
        let is_crowded = self.permits.available_permits() < connections / 2;
        let most = if is_crowded { share } else { connections };
        self.shares.take((self.bounds.origin)(ip), most)
    }
}

impl Listener for BoundedListener {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (BoundedStream, SocketAddr) {
        // Fails only for a closed semaphore, and nobody closes this one.
        let permit = self.permits.clone().acquire_owned().await.ok();
        let (inner, addr, share) = loop {
            let (inner, addr) = Listener::accept(&mut self.inner).await;
            match self.share(addr.ip()) {
                Some(share) => break (inner, addr, share),
                None => self.refused.inc(),
            };
        };
        if let Err(error) = inner.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
        let patience = Patience::new(&self.bounds, Instant::now());
        (
            BoundedStream {
                inner,
                _permit: permit,
                _share: share,
                patience,
                timer: Box::pin(tokio::time::sleep_until(patience.until)),
            },
            addr,
        )
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

impl BoundedStream {
    /// Takes note of what happened, and waits as long as that lets it.
    fn note(&mut self, happened: Happened) {
        let before = self.patience.until;
        self.patience.note(happened, Instant::now());
        if self.patience.until != before {
            self.timer.as_mut().reset(self.patience.until);
        }
    }

    /// `result`, or an error when it is pending and the time for it has passed.
    fn or_late<T>(
        &mut self,
        result: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            return result;
        }
        self.timer
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    fn after_write(
        &mut self,
        result: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.note(if result.is_ready() {
            Happened::Written
        } else {
            Happened::Blocked
        });
        self.or_late(result, cx)
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_read(cx, buf);
        if result.is_ready() {
            self.note(Happened::Read);
        }
        self.or_late(result, cx)
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.after_write(result, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.after_write(result, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// What the listener allows.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Connections open at once.
    connections: usize,
    /// How many of them one origin may have where more than half are open; else it may have what is left of that half.
    share: usize,
    /// Time for the first byte of a request, and again from it to the first byte of the answer.
    request: Duration,
    /// Time for the client to make room for more of the answer.
    stall: Duration,
    /// Whose share a connection counts against.
    origin: fn(IpAddr) -> Option<IpAddr>,
}

/// The address itself, or its network of IPv6, of which one host has all addresses. Nobody for this host: its reverse
/// proxy brings everybody's connections.
fn origin(ip: IpAddr) -> Option<IpAddr> {
    match ip.to_canonical() {
        ip if ip.is_loopback() => None,
        IpAddr::V6(ip) => Some(Ipv6Addr::from_bits(ip.to_bits() & NETWORK).into()),
        ip => Some(ip),
    }
}

/// How many connections each origin has open. Clones share it. Bounded by the connections.
#[derive(Clone, Debug, Default)]
struct Shares {
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Shares {
    /// Counts one more of `origin`, or refuses where it has `most` already. Nobody's are not counted.
    fn take(&self, origin: Option<IpAddr>, most: usize) -> Option<Share> {
        if let Some(origin) = origin {
            let mut open = self.lock();
            let count = open.get(&origin).copied().unwrap_or_default();
            if count >= most {
                return None;
            }
            open.insert(origin, count + 1);
        }
        Some(Share {
            shares: self.clone(),
            origin,
        })
    }

    /// Each change is whole: a panic elsewhere leaves it so.
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection of an origin, until it is dropped.
#[derive(Debug)]
struct Share {
    shares: Shares,
    origin: Option<IpAddr>,
}

impl Drop for Share {
    fn drop(&mut self) {
        let Some(origin) = self.origin else { return };
        if let Entry::Occupied(mut count) = self.shares.lock().entry(origin) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// What a connection is waited for, and until when. Reads no clock.
#[derive(Clone, Copy, Debug)]
struct Patience {
    wait: Wait,
    until: Instant,
    request: Duration,
    stall: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// For a request, of which nothing has come.
    Request,
    /// For the rest of it, and our answer.
    Answer,
    /// For the client to take what is written.
    Room,
}

#[derive(Clone, Copy, Debug)]
enum Happened {
    /// Something came.
    Read,
    /// Something was written.
    Written,
    /// There was no room to write.
    Blocked,
}

impl Patience {
    fn new(bounds: &Bounds, now: Instant) -> Self {
        Self {
            wait: Wait::Request,
            until: now + bounds.request,
            request: bounds.request,
            stall: bounds.stall,
        }
    }

    fn note(&mut self, happened: Happened, now: Instant) {
        let (wait, time) = match (happened, self.wait) {
            (Happened::Read, Wait::Request) => (Wait::Answer, self.request),
            // A request that comes byte by byte has no more time than any other.
            (Happened::Read, Wait::Answer | Wait::Room) => return,
            (Happened::Written, _) => (Wait::Request, self.request),
            (Happened::Blocked, Wait::Request | Wait::Answer) => (Wait::Room, self.stall),
            (Happened::Blocked, Wait::Room) => return,
        };
        (self.wait, self.until) = (wait, now + time);
    }
}

/// What holds for one listener.
const BOUNDS: Bounds = Bounds {
    // Guess: six per browser, and half of the usual limit of 1024 files stays free.
    connections: 512,
    // Guess: eight hosts, not one, can take what is left; and a class of forty behind one address finds half of it all.
    share: 64,
    // Guess: a request is one packet, and a page that is idle opens another connection at no cost.
    request: Duration::from_secs(10),
    // Guess: longer than a slow phone stalls, shorter than a slow-read attack wants.
    stall: Duration::from_secs(30),
    origin,
};
/// The part of an IPv6 address that one host does not choose. Source: RFC 4291, section 2.5.1: interface identifiers are
/// 64 bits long.
const NETWORK: u128 = u128::MAX << 64;

#[cfg(test)]
mod tests;
