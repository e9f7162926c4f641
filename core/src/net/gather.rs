//! Gathers what is written during one turn of the executor, so that it leaves as one message.
//!
//! Yamux flushes after every frame, and a frame that opens a stream, one that answers and one that grants credit come
//! together. Each flush would become a Noise message and a WebSocket message of its own, and each of those costs a browser
//! about a third of a millisecond to send and as much to receive.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{
    AsyncRead, AsyncWrite, FutureExt, TryFutureExt, channel::oneshot, future::BoxFuture,
};
use libp2p::{
    PeerId,
    core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo},
};

/// Hands a future to the executor, to be polled after the task that runs now.
pub type Spawn = fn(BoxFuture<'static, ()>);

/// An upgrade that authenticates, such as Noise, whose connection gathers what is written. See the module's text.
#[derive(Clone)]
pub struct Gathered<U> {
    upgrade: U,
    spawn: Spawn,
}

impl<U> Gathered<U> {
    /// Wraps `upgrade`; `spawn` is asked once for each message sent.
    pub fn new(upgrade: U, spawn: Spawn) -> Self {
        Self { upgrade, spawn }
    }
}

impl<U: UpgradeInfo> UpgradeInfo for Gathered<U> {
    type Info = U::Info;
    type InfoIter = U::InfoIter;

    fn protocol_info(&self) -> Self::InfoIter {
        self.upgrade.protocol_info()
    }
}

impl<C, D, U> InboundConnectionUpgrade<C> for Gathered<U>
where
    U: InboundConnectionUpgrade<C, Output = (PeerId, D)>,
    U::Future: Send + 'static,
{
    type Output = (PeerId, Gather<D>);
    type Error = U::Error;
    type Future = BoxFuture<'static, Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, socket: C, info: Self::Info) -> Self::Future {
        gathered(self.upgrade.upgrade_inbound(socket, info), self.spawn)
    }
}

impl<C, D, U> OutboundConnectionUpgrade<C> for Gathered<U>
where
    U: OutboundConnectionUpgrade<C, Output = (PeerId, D)>,
    U::Future: Send + 'static,
{
    type Output = (PeerId, Gather<D>);
    type Error = U::Error;
    type Future = BoxFuture<'static, Result<Self::Output, Self::Error>>;

    fn upgrade_outbound(self, socket: C, info: Self::Info) -> Self::Future {
        gathered(self.upgrade.upgrade_outbound(socket, info), self.spawn)
    }
}

fn gathered<D, E>(
    upgrading: impl Future<Output = Result<(PeerId, D), E>> + Send + 'static,
    spawn: Spawn,
) -> BoxFuture<'static, Result<(PeerId, Gather<D>), E>> {
    upgrading
        .map_ok(move |(peer, io)| (peer, Gather::new(io, spawn)))
        .boxed()
}

/// A connection that gathers. A flush reports success before the bytes have left; they leave at the end of the turn, when
/// the task that read last is woken and reads again, as every multiplexer does.
pub struct Gather<T> {
    io: T,
    state: State,
    spawn: Spawn,
}

enum State {
    /// Everything written has left.
    Clean,
    /// Something was written and not yet flushed.
    Written,
    /// Flushed by the writer; leaves when the turn is over.
    Waiting(oneshot::Receiver<()>),
    /// Leaving.
    Flushing,
}

impl<T> fmt::Debug for Gather<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gather").finish_non_exhaustive()
    }
}

impl<T> Gather<T> {
    fn new(io: T, spawn: Spawn) -> Self {
        Self {
            io,
            state: State::Clean,
            spawn,
        }
    }
}

impl<T: AsyncWrite + Unpin> Gather<T> {
    /// Lets leave what has waited for its turn. Pending while the connection below takes no more.
    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let State::Waiting(turn) = &mut self.state
            && turn.poll_unpin(cx).is_ready()
        {
            self.state = State::Flushing;
        }
        if matches!(self.state, State::Flushing) {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.state = State::Clean;
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gather<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        // Reading goes on while the other direction is full.
        if let Poll::Ready(Err(error)) = self.poll_leave(cx) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Gather<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, bytes))?;
        if matches!(self.state, State::Clean) {
            self.state = State::Written;
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.state, State::Written) {
            let (over, turn) = oneshot::channel();
            self.state = State::Waiting(turn);
            (self.spawn)(async move { drop::<oneshot::Sender<()>>(over) }.boxed());
        }
        self.poll_leave(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures::{executor::block_on, future::poll_fn, task::noop_waker};

    use super::*;

    /// What was written, the number of flushes that got through, and whether the next one fails.
    #[derive(Default)]
    struct Wire {
        written: Vec<u8>,
        flushed: Vec<usize>,
        is_broken: bool,
    }

    impl AsyncRead for Wire {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Wire {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.written.extend(bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            if self.is_broken {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let written = self.written.len();
            self.flushed.push(written);
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.poll_flush(cx)
        }
    }

    thread_local! {
        static TURNS: RefCell<Vec<BoxFuture<'static, ()>>> = const { RefCell::new(Vec::new()) };
    }

    fn spawn(turn: BoxFuture<'static, ()>) {
        TURNS.with(|turns| turns.borrow_mut().push(turn));
    }

    fn end_turn() -> usize {
        let turns = TURNS.take();
        turns.into_iter().map(block_on).count()
    }

    fn write(gather: &mut Gather<Wire>, bytes: &[u8]) {
        block_on(poll_fn(|cx| Pin::new(&mut *gather).poll_write(cx, bytes))).unwrap();
        block_on(poll_fn(|cx| Pin::new(&mut *gather).poll_flush(cx))).unwrap();
    }

    fn read(gather: &mut Gather<Wire>) -> Poll<io::Result<usize>> {
        let waker = noop_waker();
        Pin::new(gather).poll_read(&mut Context::from_waker(&waker), &mut [0; 8])
    }

    #[test]
    fn what_is_flushed_in_one_turn_leaves_at_once_when_it_is_over() {
        let mut gather = Gather::new(Wire::default(), spawn);
        write(&mut gather, b"one");
        assert!(read(&mut gather).is_pending());
        write(&mut gather, b"two");
        assert!(gather.io.flushed.is_empty());
        assert_eq!(end_turn(), 1, "one turn for both");
        assert!(read(&mut gather).is_pending());
        assert_eq!(gather.io.flushed, [6]);
        write(&mut gather, b"three");
        assert_eq!(end_turn(), 1);
        assert!(read(&mut gather).is_pending());
        assert_eq!(gather.io.flushed, [6, 11]);
    }

    #[test]
    fn a_reader_that_has_nothing_to_send_asks_for_no_turn() {
        let mut gather = Gather::new(Wire::default(), spawn);
        assert!(read(&mut gather).is_pending());
        block_on(poll_fn(|cx| Pin::new(&mut gather).poll_flush(cx))).unwrap();
        assert_eq!((end_turn(), gather.io.flushed.len()), (0, 0));
    }

    #[test]
    fn whoever_reads_is_woken_when_the_turn_is_over() {
        let mut gather = Gather::new(Wire::default(), spawn);
        write(&mut gather, b"one");
        let (waker, woken) = flagged_waker();
        let read = Pin::new(&mut gather).poll_read(&mut Context::from_waker(&waker), &mut [0; 8]);
        assert!(read.is_pending() && !woken());
        end_turn();
        assert!(woken());
    }

    #[test]
    fn a_broken_wire_is_told_to_the_reader_and_closing_flushes() {
        let mut gather = Gather::new(Wire::default(), spawn);
        write(&mut gather, b"one");
        block_on(poll_fn(|cx| Pin::new(&mut gather).poll_close(cx))).unwrap();
        assert_eq!(gather.io.flushed, [3]);
        write(&mut gather, b"two");
        gather.io.is_broken = true;
        end_turn();
        assert!(matches!(read(&mut gather), Poll::Ready(Err(_))));
    }

    fn flagged_waker() -> (std::task::Waker, impl Fn() -> bool) {
        use std::sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        };
        struct Flag(AtomicBool);
        impl std::task::Wake for Flag {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        (flag.clone().into(), move || flag.0.load(Ordering::SeqCst))
    }
}
