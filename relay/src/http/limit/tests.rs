use axum::Router;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_host_is_its_address_or_its_network_of_ipv6_and_this_host_is_nobody() {
    for nobody in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(origin(ip(nobody)), None, "{nobody}");
    }
    assert_eq!(origin(ip("192.0.2.1")), Some(ip("192.0.2.1")));
    assert_eq!(origin(ip("::ffff:192.0.2.1")), Some(ip("192.0.2.1")));
    let network = Some(ip("2001:db8:1:2::"));
    assert_eq!(origin(ip("2001:db8:1:2::1")), network);
    assert_eq!(origin(ip("2001:db8:1:2:3:4:5:6")), network);
    assert_ne!(origin(ip("2001:db8:1:3::1")), network);
}

#[test]
fn an_origin_has_its_share_and_others_have_theirs() {
    let shares = Shares::default();
    let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|text| Some(ip(text)));
    let mut held: Vec<_> = (0..2).map(|_| shares.take(one, 2).unwrap()).collect();
    assert!(shares.take(one, 2).is_none());
    drop(shares.take(other, 2).unwrap());
    held.push(shares.take(one, 3).unwrap());
    held.extend((0..100).map(|_| shares.take(None, 2).unwrap()));
    drop(held);
    assert!(shares.lock().is_empty());
    shares.take(one, 2).unwrap();
}

async fn listener(bounds: Bounds) -> (BoundedListener, SocketAddr) {
    let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = inner.local_addr().unwrap();
    let listener = BoundedListener::with(inner, bounds, Counter::default());
    (listener, addr)
}

/// One host with 512 sockets once kept everybody out.
#[tokio::test]
async fn a_host_that_has_half_of_the_connections_gets_no_more() {
    let bounds = Bounds {
        connections: 8,
        share: 2,
        origin: Some,
        ..BOUNDS
    };
    let (mut listener, addr) = listener(bounds).await;
    let (mut clients, mut open) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        clients.push(TcpStream::connect(addr).await.unwrap());
        open.push(listener.accept().await);
    }
    let mut fifth = TcpStream::connect(addr).await.unwrap();
    tokio::select! {
        _ = listener.accept() => panic!("the fifth of eight is open"),
        closed = fifth.read_u8() => assert!(closed.is_err()),
    }
    assert_eq!(listener.refused.get(), 1);
    // One that ends makes room for another.
    open.pop();
    clients.push(TcpStream::connect(addr).await.unwrap());
    open.push(listener.accept().await);
    assert_eq!((open.len(), listener.refused.get()), (4, 1));
}

#[test]
fn only_what_is_written_gives_a_request_more_time() {
    let start = Instant::now();
    let at = |secs| start + Duration::from_secs(secs);
    let mut patience = Patience::new(&BOUNDS, start);
    assert_eq!(patience.until, at(10));
    patience.note(Happened::Read, at(9));
    assert_eq!(patience.until, at(19));
    for secs in 10..19 {
        patience.note(Happened::Read, at(secs));
        assert_eq!(patience.until, at(19), "a byte now and then");
    }
    // A slow download has 30 s whenever there is no room, and goes on as long as there is some in that time.
    for secs in [19, 48, 77] {
        patience.note(Happened::Blocked, at(secs));
        patience.note(Happened::Blocked, at(secs + 5));
        patience.note(Happened::Read, at(secs + 9));
        assert_eq!(patience.until, at(secs + 30));
        patience.note(Happened::Written, at(secs + 29));
        assert_eq!(patience.until, at(secs + 39));
    }
    // The next request.
    patience.note(Happened::Read, at(110));
    assert_eq!(patience.until, at(120));
}

/// Every byte once gave a connection another 30 s.
#[tokio::test]
async fn a_request_that_comes_byte_by_byte_is_not_waited_for() {
    let bounds = Bounds {
        request: Duration::from_millis(50),
        ..BOUNDS
    };
    let (listener, addr) = listener(bounds).await;
    let router: Router = Router::new();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut client = TcpStream::connect(addr).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
    let closed = async {
        let pause = Duration::from_millis(5);
        loop {
            if client.write_all(b"x").await.is_err() {
                return;
            }
            if let Ok(read) = tokio::time::timeout(pause, client.read_u8()).await {
                assert!(read.is_err(), "no answer to half a request");
                return;
            }
        }
    };
    let deadline = Duration::from_secs(10);
    tokio::time::timeout(deadline, closed).await.unwrap();
}
