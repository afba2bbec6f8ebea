//! A TCP proxy on loopback that breaks connections in a way that the test chooses.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What happens to one connection. Byte counts are of the payload in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Everything passes.
    None,
    /// The connection is reset before anything passes.
    Refuse,
    /// After so many bytes from the server the client sees the connection end in good order (FIN).
    CutAnswer(u64),
    /// After so many bytes from the server both sides see a reset.
    ResetAnswer(u64),
    /// After so many bytes from the client both sides see a reset.
    ResetRequest(u64),
    /// After so many bytes from the server nothing more comes; the connection stays open.
    StallAnswer(u64),
    /// After so many bytes from the client nothing more is read from it; the connection stays open.
    StallRequest(u64),
    /// Everything passes, but the byte of the server's that comes after so many others has all its bits turned over.
    FlipAnswer(u64),
    /// The server's bytes pass at about this many a second.
    SlowAnswer(u64),
    /// The client's bytes are read at about this many a second.
    SlowRequest(u64),
}

impl Fault {
    fn answer(self) -> Flow {
        match self {
            Fault::CutAnswer(bytes) => Flow::Until(bytes, End::Finish),
            Fault::ResetAnswer(bytes) => Flow::Until(bytes, End::Reset),
            Fault::StallAnswer(bytes) => Flow::Until(bytes, End::Stall),
            Fault::SlowAnswer(rate) => Flow::Slow(rate),
            Fault::FlipAnswer(bytes) => Flow::Flipped(bytes),
            _ => Flow::Free,
        }
    }

    fn request(self) -> Flow {
        match self {
            Fault::ResetRequest(bytes) => Flow::Until(bytes, End::Reset),
            Fault::StallRequest(bytes) => Flow::Until(bytes, End::Stall),
            Fault::SlowRequest(rate) => Flow::Slow(rate),
            _ => Flow::Free,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Flow {
    Free,
    Until(u64, End),
    Slow(u64),
    Flipped(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The source ended by itself, or the test wants it to look like that.
    Finish,
    Reset,
    Stall,
}

#[derive(Debug)]
struct Plan {
    /// For the next connections, one each.
    next: VecDeque<Fault>,
    /// For all that follow.
    then: Fault,
}

/// What has passed so far, over all connections.
#[derive(Debug, Default)]
struct Passed {
    requests: AtomicU64,
    answers: AtomicU64,
    resets: AtomicU64,
}

/// What a connection is told, and what is told of it.
#[derive(Debug)]
struct Watched {
    passed: Arc<Passed>,
    stalls: watch::Sender<usize>,
    frozen: watch::Receiver<bool>,
}

/// A proxy before one address. Dropping it ends it and its connections.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    plan: Arc<Mutex<Plan>>,
    accepted: watch::Receiver<usize>,
    stalled: watch::Receiver<usize>,
    passed: Arc<Passed>,
    freeze: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl FaultProxy {
    /// Starts a proxy before `target`, a host and port; it passes everything until it is told otherwise.
    pub async fn start(target: impl Into<String>) -> FaultProxy {
        let target = target.into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let plan = Arc::new(Mutex::new(Plan { next: VecDeque::new(), then: Fault::None }));
        let (count, accepted) = watch::channel(0);
        let (stalls, stalled) = watch::channel(0);
        let passed = Arc::new(Passed::default());
        let (freeze, frozen) = watch::channel(false);
        let (plans, counters) = (Arc::clone(&plan), Arc::clone(&passed));
        let task = tokio::spawn(async move {
            // Owned by this task, so that all connections end with the proxy.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let fault = {
                    let mut plan = plans.lock().unwrap();
                    plan.next.pop_front().unwrap_or(plan.then)
                };
                count.send_modify(|count| *count += 1);
                let watched = Watched { passed: Arc::clone(&counters), stalls: stalls.clone(), frozen: frozen.clone() };
                connections.spawn(relay(client, target.clone(), fault, watched));
                while connections.try_join_next().is_some() {}
            }
        });
        FaultProxy { address, plan, accepted, stalled, passed, freeze, task }
    }

    /// Where it listens, as host and port.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// `http://` and the address, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What happens to the connections made from now on.
    pub fn set(&self, fault: Fault) {
        *self.plan.lock().unwrap() = Plan { next: VecDeque::new(), then: fault };
    }

    /// What happens to the next connections, one each; those after them pass.
    pub fn set_next(&self, faults: impl IntoIterator<Item = Fault>) {
        *self.plan.lock().unwrap() = Plan { next: faults.into_iter().collect(), then: Fault::None };
    }

    /// How many connections were made so far.
    pub fn connections(&self) -> usize {
        *self.accepted.borrow()
    }

    /// Waits until so many connections were made in all.
    pub async fn await_connections(&self, count: usize) {
        self.accepted.clone().wait_for(|accepted| *accepted >= count).await.unwrap();
    }

    /// From now on nothing passes any more, on all connections, those that are there and those that are made.
    pub fn freeze(&self) {
        self.freeze.send_replace(true);
    }

    /// Waits until so many connections have come to stand still in all.
    pub async fn await_stalls(&self, count: usize) {
        self.stalled.clone().wait_for(|stalled| *stalled >= count).await.unwrap();
    }

    /// Bytes that clients have sent and servers have got so far, over all connections.
    pub fn request_bytes(&self) -> u64 {
        self.passed.requests.load(Ordering::Relaxed)
    }

    /// Bytes that servers have sent and clients have got so far, over all connections.
    pub fn answer_bytes(&self) -> u64 {
        self.passed.answers.load(Ordering::Relaxed)
    }

    /// How many connections were reset, by a fault or by one of the sides.
    #[must_use]
    pub fn resets(&self) -> u64 {
        self.passed.resets.load(Ordering::Relaxed)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(mut client: TcpStream, target: String, fault: Fault, watched: Watched) {
    let server = match fault {
        Fault::Refuse => None,
        _ => TcpStream::connect(&target).await.ok(),
    };
    let Some(mut server) = server else {
        return client.set_zero_linger().unwrap();
    };
    let end = {
        // Halves that borrow, because dropping an owned one would send a FIN where a reset is due.
        let (client_read, client_write) = client.split();
        let (server_read, server_write) = server.split();
        let request = pass(client_read, server_write, fault.request(), &watched.passed.requests);
        let answer = pass(server_read, client_write, fault.answer(), &watched.passed.answers);
        tokio::pin!(request, answer);
        // One direction may end in good order while the other goes on.
        let both = async {
            tokio::select! {
                end = &mut request => if end == End::Finish { answer.await } else { end },
                end = &mut answer => if end == End::Finish { request.await } else { end },
            }
        };
        let mut frozen = watched.frozen.clone();
        let freezing = async { drop(frozen.wait_for(|frozen| *frozen).await) };
        tokio::select! {
            biased;
            () = freezing => End::Stall,
            end = both => end,
        }
    };
    match end {
        End::Finish => {}
        End::Stall => {
            watched.stalls.send_modify(|stalls| *stalls += 1);
            std::future::pending().await
        }
        End::Reset => {
            watched.passed.resets.fetch_add(1, Ordering::Relaxed);
            // Closing the sockets, which is next, now sends a reset.
            let _ = client.set_zero_linger();
            let _ = server.set_zero_linger();
        }
    }
}

/// Moves bytes until the flow ends, and tells how it ended.
async fn pass(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, flow: Flow, passed: &AtomicU64) -> End {
    let mut buffer = vec![0; 64 << 10];
    let mut begins = 0;
    let mut left = match flow {
        Flow::Until(bytes, _) => bytes,
        _ => u64::MAX,
    };
    let end = loop {
        if let (0, Flow::Until(_, end)) = (left, flow) {
            break end;
        }
        let most = match flow {
            Flow::Slow(rate) => rate.div_ceil(20).max(1),
            _ => left,
        };
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(buffer.len());
        let count = match from.read(&mut buffer[..most]).await {
            Ok(0) => break End::Finish,
            Ok(count) => count,
            Err(_) => break End::Reset,
        };
        if let Flow::Flipped(at) = flow
            && let Some(byte) = at.checked_sub(begins).and_then(|at| buffer[..count].get_mut(at as usize))
        {
            *byte = !*byte;
        }
        begins += count as u64;
        if to.write_all(&buffer[..count]).await.is_err() {
            break End::Reset;
        }
        left -= count as u64;
        passed.fetch_add(count as u64, Ordering::Relaxed);
        if let Flow::Slow(rate) = flow {
            tokio::time::sleep(Duration::from_secs_f64(count as f64 / rate as f64)).await;
        }
    };
    if end == End::Finish {
        let _ = to.shutdown().await;
    }
    end
}
