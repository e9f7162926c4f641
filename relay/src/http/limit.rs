//! A TCP listener that bounds how many connections are open, and closes those on which nothing moves.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep},
};

/// The listener. Beyond the bound, connections wait in the operating system's queue.
#[derive(Debug)]
pub(crate) struct BoundedListener {
    inner: TcpListener,
    permits: Arc<Semaphore>,
}

/// A connection that counts against the bound until it is dropped.
#[derive(Debug)]
pub(crate) struct BoundedStream {
    inner: TcpStream,
    _permit: Option<OwnedSemaphorePermit>,
    idle: Pin<Box<Sleep>>,
}

impl BoundedListener {
    pub(crate) fn new(inner: TcpListener) -> Self {
        Self {
            inner,
            permits: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        }
    }
}

impl Listener for BoundedListener {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (BoundedStream, SocketAddr) {
        // Fails only for a closed semaphore, and nobody closes this one.
        let permit = self.permits.clone().acquire_owned().await.ok();
        let (inner, addr) = Listener::accept(&mut self.inner).await;
        if let Err(error) = inner.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
        let idle = Box::pin(tokio::time::sleep(IDLE_TIMEOUT));
        (
            BoundedStream {
                inner,
                _permit: permit,
                idle,
            },
            addr,
        )
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

impl BoundedStream {
    fn moved(&mut self) {
        self.idle.as_mut().reset(Instant::now() + IDLE_TIMEOUT);
    }

    /// `result`, or an error when it is pending and nothing has moved for too long.
    fn or_idle<T>(
        &mut self,
        result: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.moved();
            return result;
        }
        self.idle
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.or_idle(result, cx)
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.or_idle(result, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.or_idle(result, cx)
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

/// Connections open at once on one listener. Guess: six per browser, and half of the usual limit of 1024 files stays free.
const MAX_CONNECTIONS: usize = 512;
/// Time without a byte in either direction. Guess: longer than a slow phone stalls, shorter than a slow-read attack wants.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
