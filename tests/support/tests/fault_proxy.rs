//! The proxy breaks connections exactly as it is told.

// A panic is how a test fails.
#![allow(clippy::unwrap_used)]

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use test_support::{Fault, FaultProxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const BYTES: usize = 300_000;

/// A server that reads ten bytes and answers each connection with [`BYTES`] of them.
async fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = [0; 10];
                if connection.read_exact(&mut request).await.is_ok() {
                    let _ = connection.write_all(&vec![7; BYTES]).await;
                }
            });
        }
    });
    address
}

/// Sends ten bytes and returns how many came back and how it ended.
async fn ask(proxy: &FaultProxy) -> (usize, Result<(), ErrorKind>) {
    let mut connection = TcpStream::connect(proxy.address()).await.unwrap();
    let mut answer = Vec::new();
    let result = match connection.write_all(&[1; 10]).await {
        Ok(()) => connection.read_to_end(&mut answer).await.map(|_| ()),
        Err(error) => Err(error),
    };
    (answer.len(), result.map_err(|error| error.kind()))
}

#[tokio::test]
async fn without_a_fault_everything_passes() {
    let proxy = FaultProxy::start(server().await).await;
    assert_eq!(ask(&proxy).await, (BYTES, Ok(())));
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn a_cut_answer_ends_in_good_order_after_so_many_bytes() {
    let proxy = FaultProxy::start(server().await).await;
    proxy.set(Fault::CutAnswer(100_001));
    assert_eq!(ask(&proxy).await, (100_001, Ok(())));
    proxy.set(Fault::CutAnswer(0));
    assert_eq!(ask(&proxy).await, (0, Ok(())));
}

#[tokio::test]
async fn resets_are_seen_as_resets() {
    let proxy = FaultProxy::start(server().await).await;
    for fault in [Fault::Refuse, Fault::ResetRequest(5), Fault::ResetAnswer(0), Fault::ResetAnswer(1000)] {
        proxy.set(fault);
        let (bytes, end) = ask(&proxy).await;
        assert!(bytes <= 1000, "{fault:?} let {bytes} bytes pass");
        assert!(matches!(end, Err(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)), "{fault:?} ended with {end:?}");
    }
}

#[tokio::test]
async fn each_connection_has_its_own_fault() {
    let proxy = FaultProxy::start(server().await).await;
    proxy.set_next([Fault::CutAnswer(1), Fault::None, Fault::CutAnswer(2)]);
    let mut lengths = Vec::new();
    for _ in 0..4 {
        lengths.push(ask(&proxy).await.0);
    }
    assert_eq!(lengths, [1, BYTES, 2, BYTES]);
    proxy.await_connections(4).await;
}

#[tokio::test]
async fn a_stalled_connection_stays_open_and_silent() {
    let proxy = FaultProxy::start(server().await).await;
    proxy.set(Fault::StallAnswer(500));
    let mut connection = TcpStream::connect(proxy.address()).await.unwrap();
    connection.write_all(&[1; 10]).await.unwrap();
    let mut answer = vec![0; 500];
    connection.read_exact(&mut answer).await.unwrap();
    let more = tokio::time::timeout(Duration::from_millis(200), connection.read_u8()).await;
    assert!(more.is_err(), "{more:?} came after the stall");
}

#[tokio::test]
async fn a_slow_answer_takes_its_time() {
    let proxy = FaultProxy::start(server().await).await;
    proxy.set(Fault::SlowAnswer(BYTES as u64));
    let before = Instant::now();
    assert_eq!(ask(&proxy).await, (BYTES, Ok(())));
    assert!(before.elapsed() > Duration::from_millis(900), "{:?}", before.elapsed());
}

#[tokio::test]
async fn what_passes_is_counted_and_a_frozen_proxy_lets_nothing_pass() {
    let proxy = FaultProxy::start(server().await).await;
    assert_eq!(ask(&proxy).await, (BYTES, Ok(())));
    assert_eq!((proxy.request_bytes(), proxy.answer_bytes()), (10, BYTES as u64));
    let mut open = TcpStream::connect(proxy.address()).await.unwrap();
    proxy.await_connections(2).await;
    proxy.freeze();
    proxy.await_stalls(1).await;
    open.write_all(&[1; 10]).await.unwrap();
    let _later = TcpStream::connect(proxy.address()).await.unwrap();
    proxy.await_stalls(2).await;
    assert_eq!((proxy.request_bytes(), proxy.answer_bytes()), (10, BYTES as u64));
}
