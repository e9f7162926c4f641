//! Lets a behaviour open its streams a little later than its connection, so that what a newcomer waits for comes first.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
    time::Duration,
};

use futures::FutureExt;
use futures_timer::Delay;
use libp2p::swarm::{
    ConnectionHandler, ConnectionHandlerEvent, SubstreamProtocol, handler::ConnectionEvent,
};

/// A connection handler whose own streams wait. Those of the remote are served at once.
pub(crate) struct Patient<H: ConnectionHandler> {
    inner: H,
    /// None once the time is over.
    pause: Option<Delay>,
    waiting: VecDeque<SubstreamProtocol<H::OutboundProtocol, H::OutboundOpenInfo>>,
}

impl<H: ConnectionHandler> Patient<H> {
    pub(crate) fn new(inner: H, pause: Duration) -> Self {
        Self {
            inner,
            pause: (!pause.is_zero()).then(|| Delay::new(pause)),
            waiting: VecDeque::new(),
        }
    }
}

impl<H: ConnectionHandler> ConnectionHandler for Patient<H> {
    type FromBehaviour = H::FromBehaviour;
    type ToBehaviour = H::ToBehaviour;
    type InboundProtocol = H::InboundProtocol;
    type OutboundProtocol = H::OutboundProtocol;
    type InboundOpenInfo = H::InboundOpenInfo;
    type OutboundOpenInfo = H::OutboundOpenInfo;

    #[inline(never)]
    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol, Self::InboundOpenInfo> {
        self.inner.listen_protocol()
    }

    fn connection_keep_alive(&self) -> bool {
        !self.waiting.is_empty() || self.inner.connection_keep_alive()
    }

    #[inline(never)]
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<
        ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>,
    > {
        if let Some(pause) = &mut self.pause
            && pause.poll_unpin(cx).is_ready()
        {
            self.pause = None;
        }
        if self.pause.is_none()
            && let Some(protocol) = self.waiting.pop_front()
        {
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        loop {
            match self.inner.poll(cx) {
                Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
                    if self.pause.is_some() =>
                {
                    self.waiting.push_back(protocol);
                }
                other => return other,
            }
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        self.inner.poll_close(cx)
    }

    #[inline(never)]
    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        self.inner.on_behaviour_event(event);
    }

    #[inline(never)]
    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            Self::InboundProtocol,
            Self::OutboundProtocol,
            Self::InboundOpenInfo,
            Self::OutboundOpenInfo,
        >,
    ) {
        self.inner.on_connection_event(event);
    }
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, future::poll_fn, task::noop_waker};
    use libp2p::{
        Multiaddr, PeerId, ping,
        swarm::{ConnectionId, NetworkBehaviour, THandler},
    };

    use super::*;

    /// The handler of ping, which opens its stream at once.
    fn handler(pause: Duration) -> Patient<THandler<ping::Behaviour>> {
        let here = Multiaddr::empty();
        let handler = ping::Behaviour::default().handle_established_inbound_connection(
            ConnectionId::new_unchecked(1),
            PeerId::random(),
            &here,
            &here,
        );
        Patient::new(handler.unwrap(), pause)
    }

    fn is_request<P, I, B>(event: &ConnectionHandlerEvent<P, I, B>) -> bool {
        matches!(
            event,
            ConnectionHandlerEvent::OutboundSubstreamRequest { .. }
        )
    }

    #[test]
    fn a_stream_asked_for_at_once_waits_and_keeps_the_connection() {
        let waker = noop_waker();
        let mut cx = Context::from_waker(&waker);
        let mut handler = handler(Duration::from_secs(3600));
        while handler.waiting.is_empty() {
            assert!(handler.poll(&mut cx).is_pending());
        }
        assert!(handler.connection_keep_alive());
    }

    #[test]
    fn it_is_asked_for_once_the_time_is_over() {
        for pause in [Duration::ZERO, Duration::from_millis(5)] {
            let mut handler = handler(pause);
            let event = block_on(poll_fn(|cx| handler.poll(cx)));
            assert!(is_request(&event));
            assert!(handler.waiting.is_empty());
        }
    }
}
